"""Colors and type: neutral grays, so that nothing beside a picture changes how its colors look, and one accent."""

from __future__ import annotations

from typing import Any

from gradio import themes  # pyright: ignore[reportMissingImports]

SANS = ("Inter", "ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
LIGHT = {
    "body_background_fill": "#f4f4f3",
    "background_fill_primary": "#ffffff",
    "background_fill_secondary": "#fafaf9",
    "block_background_fill": "#ffffff",
    "block_border_color": "#e2e2e0",
    "border_color_primary": "#d6d6d3",
    "body_text_color": "#1c1c1b",
    "body_text_color_subdued": "#5f5f5b",
    "block_label_text_color": "#3b3b38",
    "block_title_text_color": "#2a2a28",
    "block_info_text_color": "#5f5f5b",
    "input_background_fill": "#ffffff",
    "input_border_color": "#c9c9c5",
    "input_border_color_focus": "#0f766e",
    "color_accent_soft": "#e3f2f0",
    "link_text_color": "#0f766e",
    "slider_color": "#0f766e",
    "button_primary_background_fill": "#0f766e",
    "button_primary_background_fill_hover": "#0b5f59",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_hover": "#f0f0ee",
    "button_secondary_border_color": "#c9c9c5",
    "button_secondary_text_color": "#2a2a28",
    "checkbox_label_background_fill": "#ffffff",
    "checkbox_label_background_fill_selected": "#e3f2f0",
    "checkbox_label_border_color": "#c9c9c5",
    "checkbox_label_border_color_selected": "#0f766e",
    "checkbox_label_text_color": "#2a2a28",
    "checkbox_label_text_color_selected": "#0b4f4a",
    "checkbox_background_color_selected": "#0f766e",
    "checkbox_border_color_selected": "#0f766e",
}
DARK = {
    "body_background_fill": "#151515",
    "background_fill_primary": "#1d1d1d",
    "background_fill_secondary": "#222222",
    "block_background_fill": "#1d1d1d",
    "block_border_color": "#303030",
    "border_color_primary": "#3a3a3a",
    "body_text_color": "#ececea",
    "body_text_color_subdued": "#a5a5a1",
    "block_label_text_color": "#d2d2cf",
    "block_title_text_color": "#e2e2df",
    "block_info_text_color": "#a5a5a1",
    "input_background_fill": "#242424",
    "input_border_color": "#454545",
    "input_border_color_focus": "#5cc9bd",
    "color_accent_soft": "#17302d",
    "link_text_color": "#6fd3c8",
    "slider_color": "#5cc9bd",
    "button_primary_background_fill": "#5cc9bd",
    "button_primary_background_fill_hover": "#7fd9cf",
    "button_primary_text_color": "#06211e",
    "button_secondary_background_fill": "#262626",
    "button_secondary_background_fill_hover": "#303030",
    "button_secondary_border_color": "#454545",
    "button_secondary_text_color": "#ececea",
    "checkbox_label_background_fill": "#222222",
    "checkbox_label_background_fill_selected": "#17302d",
    "checkbox_label_border_color": "#454545",
    "checkbox_label_border_color_selected": "#5cc9bd",
    "checkbox_label_text_color": "#e2e2df",
    "checkbox_label_text_color_selected": "#c9f1ec",
    "checkbox_background_color_selected": "#2b9a8f",
    "checkbox_border_color_selected": "#5cc9bd",
}
SHAPE = {
    "block_radius": "12px",
    "block_border_width": "1px",
    "block_shadow": "none",
    "block_padding": "14px",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_size": "13px",
    "block_label_text_weight": "600",
    "block_title_text_weight": "600",
    "block_title_text_size": "13px",
    "button_large_radius": "10px",
    "button_small_radius": "999px",
    "button_large_text_weight": "600",
    "input_radius": "8px",
    "layout_gap": "14px",
    "form_gap_width": "0px",
}


def theme() -> Any:
    """The page's theme; its fonts are those of the system, nothing is fetched."""
    base = themes.Base(
        primary_hue="teal", neutral_hue="stone", font=[*SANS], font_mono=[*MONO], text_size="md", radius_size="md"
    )
    known = set(vars(base))
    wanted = {**SHAPE, **LIGHT, **{f"{name}_dark": value for name, value in DARK.items()}}
    return base.set(**{name: value for name, value in wanted.items() if name in known})

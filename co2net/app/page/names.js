// Gradio names every place for a file "Click to upload or drop files" and leaves groups of choices without a name; a
// screen reader then cannot tell them apart. Names follow the visible labels, whenever something is drawn anew.
() => {
  const name = () => {
    for (const button of document.querySelectorAll("button.upload-container")) {
      const label = button.closest(".block")?.querySelector('[data-testid="block-label"]')?.textContent.trim();
      if (label && !button.ariaLabel?.startsWith(label)) button.ariaLabel = `${label}. Click to upload or drop a file`;
    }
    document.querySelectorAll("#compare img").forEach((image, number) => {
      image.alt = number ? "After" : "Before";
    });
    for (const group of document.querySelectorAll("fieldset.block")) {
      const title = group.querySelector('[data-testid="block-info"]')?.textContent.trim();
      if (title && group.ariaLabel !== title) {
        group.ariaLabel = title;
        group.setAttribute("role", "radiogroup");
      }
      const inputs = group.querySelectorAll('input[type="radio"]');
      for (const input of inputs) if (input.name !== inputs[0].name) input.name = inputs[0].name;
    }
  };
  name();
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
}

// The tab: how many alerts are unread, in its title and its icon.

const SIZE = 64;

/** A count as the badge shows it. */
export function badgeText(count: number): string {
  return count > 9 ? "9+" : String(count);
}

/** The count before a title. */
const COUNT = /^\(\d\+?\) /;

/** Shows the count in the tab's title and icon. Returns how to take it away again. */
export function showInTab(count: number, isCritical: boolean): () => void {
  if (count === 0) return () => undefined;
  // The page may give itself another title meanwhile, with the count or without.
  document.title = `(${badgeText(count)}) ${document.title.replace(COUNT, "")}`;
  const restoreIcon = showInIcon(badgeText(count), isCritical);
  return () => {
    document.title = document.title.replace(COUNT, "");
    restoreIcon();
  };
}

function showInIcon(text: string, isCritical: boolean): () => void {
  const context = canvasContext();
  const found = document.querySelector<HTMLLinkElement>('link[rel~="icon"]');
  if (context === null) return () => undefined;
  context.fillStyle = isCritical ? "#b91c1c" : "#1d4ed8";
  context.beginPath();
  context.arc(SIZE / 2, SIZE / 2, SIZE / 2, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = "#ffffff";
  context.font = `bold ${text.length > 1 ? 36 : 46}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, SIZE / 2, SIZE / 2 + 3);

  const icon = document.createElement("link");
  icon.rel = "icon";
  icon.type = "image/png";
  icon.href = context.canvas.toDataURL("image/png");
  found?.remove();
  document.head.append(icon);
  return () => {
    icon.remove();
    if (found !== null) document.head.append(found);
  };
}

function canvasContext(): CanvasRenderingContext2D | null {
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  return canvas.getContext("2d");
}

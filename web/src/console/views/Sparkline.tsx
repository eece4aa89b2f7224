// A small line that shows how a number went.

const WIDTH = 200;
const HEIGHT = 40;
const PADDING = 3;

/** The line. The newest value is at the right; zero is at the bottom. */
export function Sparkline({ values, label }: { readonly values: readonly number[]; readonly label: string }) {
  const most = Math.max(...values, 1);
  const step = values.length > 1 ? WIDTH / (values.length - 1) : 0;
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(HEIGHT - PADDING - (value / most) * (HEIGHT - 2 * PADDING)).toFixed(1)}`);
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" className="mt-2 h-10 w-full text-info">
      <line x1={0} x2={WIDTH} y1={HEIGHT - PADDING} y2={HEIGHT - PADDING} className="stroke-line" />
      {points.length > 1 && <polyline points={points.join(" ")} fill="none" stroke="currentColor" strokeWidth={2} vectorEffect="non-scaling-stroke" />}
    </svg>
  );
}

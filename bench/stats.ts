/** Middle of an odd number of values, mean of the two middle ones of an even number. Throws for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('no values')
  return (lower + upper) / 2
}

export type Ratio = { ratio: number; low: number; high: number }

/** Median, least and greatest of the ratios round by round: what slows a whole round down cancels out. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Ratio {
  const ratios = ours.map((value, round) => value / (theirs[round] ?? Number.NaN))
  if (ratios.length !== theirs.length || ratios.some((ratio) => !Number.isFinite(ratio))) {
    throw new RangeError('every round needs a value above zero from both')
  }
  return { ratio: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) }
}

/** The value that this part of all values does not exceed. Throws for none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  if (value === undefined) throw new RangeError('no values')
  return value
}

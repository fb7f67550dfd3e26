/** Something that can be measured once in each round. A sample may hold several values, each under its own key. */
export type Measure = { label: string; sample(): Promise<Record<string, number>> }

/** By key, in the order of the rounds. */
export type Values = ReadonlyMap<string, number[]>

/**
 * Measures everything once, then once again, and so on, every other round in reverse: drift of the machine meets all alike. Gives the values
 * by key, in the order of the rounds. `tell` hears of each sample.
 */
export async function interleave(
  measures: readonly Measure[],
  rounds: number,
  tell: (round: number, label: string, sample: Record<string, number>) => void,
): Promise<Values> {
  const values = new Map<string, number[]>()
  for (let round = 1; round <= rounds; round += 1) {
    for (const { label, sample } of round % 2 === 1 ? measures : measures.toReversed()) {
      const sampled = await sample()
      tell(round, label, sampled)
      for (const [key, value] of Object.entries(sampled)) values.set(key, [...(values.get(key) ?? []), value])
    }
  }
  return values
}

/**
 * The places at which a crash is worth a test: each journal record and each call outside, by name. The crash suite passes a function that kills
 * the process there; it reads the names from the sources as well, so that a new place cannot go untested.
 */
export type Pass = (when: 'before' | 'after', point: string) => void

/** Does one call outside. `point` is a literal, for the crash suite finds it in the source. */
export async function marked<T>(pass: Pass, point: string, call: () => Promise<T> | T): Promise<T> {
  pass('before', point)
  const result = await call()
  pass('after', point)
  return result
}

import type { Time as MirrorTime } from '../mirror/time.ts'

/** Time and chance, given from outside so that tests need not wait for them. */
export type Time = MirrorTime & {
  /** Milliseconds that no change of the time of day moves, and that go on while the process is stopped or the machine sleeps. */
  steadyMs: () => number
}

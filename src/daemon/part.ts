import type { Config } from '../config/config.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** What every part of the daemon is built from. Each part defers its own end to `stack`, which closes them in reverse. */
export type Base = {
  config: Config
  version: string
  log: Logger
  metrics: Metrics
  stack: AsyncDisposableStack
  /** Monotonic. */
  nowMs: () => number
}

import type { SecretShape } from './generate.ts'
import type { Hook } from './ports.ts'

/** What the configuration says of one registry's rotations. */
export type RotationPolicy = {
  hook: Hook | undefined
  generate: SecretShape
  /** How long PREVIOUS is kept after the mirror. */
  graceSeconds: number
  /** How often a new password is generated; absent: only when somebody asks. */
  rotateEverySeconds: number | undefined
  /** How long before its end a password is warned of. */
  warnBeforeSeconds: number
  canary: string | undefined
}

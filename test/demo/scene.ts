import { randomBytes } from 'node:crypto'
import type { Daemon } from '../helpers/daemon.ts'
import type { DemoCluster, RegcredSecret } from './cluster.ts'
import type { StageOptions } from './options.ts'
import type { Parts } from './parts.ts'
import type { Puller } from './puller.ts'
import type { DemoRegistry } from './registry.ts'
import type { Screen } from './screen.ts'
import type { Workbench } from './workbench.ts'

/** What every act of the demo finds. */
export type Scene = {
  options: StageOptions
  parts: Parts
  screen: Screen
  workbench: Workbench
  /** Whatever an act starts is deferred here, and ended in reverse. */
  stack: AsyncDisposableStack
  passwords: Passwords
  /** undefined where no Kubernetes API is at hand; it starts beside the first acts. */
  cluster: Promise<DemoCluster | undefined>
  signal: AbortSignal
}

export type Passwords = { first: string; second: string; mistyped: string }

/** What the first acts have set up for those after them. */
export type Stand = { registry: DemoRegistry; digest: string; puller: Puller; daemon: Daemon }

export type Mirrored = { before: RegcredSecret | undefined; after: RegcredSecret | undefined }

/** Two letters tell them apart when only two are shown. */
export function makePasswords(): Passwords {
  const random = () => randomBytes(12).toString('base64url')
  return { first: `spring-${random()}`, second: `summer-${random()}`, mistyped: `typo-${random()}` }
}

/** The first two characters. */
export function masked(secret: string): string {
  return `${secret.slice(0, 2)}${'•'.repeat(10)}`
}

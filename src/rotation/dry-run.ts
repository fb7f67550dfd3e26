import { type ErrorCode, RegcreddError, toRegcreddError } from '../errors.ts'
import { type Credential, versionOf } from '../keychain/credential.ts'
import type { Places, RotationParts } from './parts.ts'
import { refuseWhileActive } from './plan.ts'
import type { Hook, Verdict } from './ports.ts'
import { tryVersion } from './probe.ts'
import type { DryRunRequest } from './start-request.ts'

/** What a rotation would do. Holds no secret. */
export type DryRun = {
  key: string
  way: 'provided' | 'generated'
  /** Why `start` would refuse now; empty where it would begin. */
  refusals: { code: ErrorCode; detail: string | undefined }[]
  /** The version in force and what the registry says to it now. */
  current: { version: string; username: string; verdict: Verdict['outcome']; detail: string | undefined } | undefined
  /** The version that would be forgotten at the commit: PREVIOUS of now. */
  forgotten: string | undefined
  /** What changes the password at the registry; absent: whoever asks does. */
  hook: { command: string; timeoutMs: number } | undefined
  /** Where the new password is tried. */
  canary: string | undefined
  deadlineSeconds: number
  graceSeconds: number
  /** Pulls with this credential in the last 7 days; absent where nobody counts them. */
  pulls: { count: number; days: number } | undefined
  /** Absent where no cluster is configured. */
  kubernetes: Places | undefined
}

const DAYS = 7
const DAY_MS = 86_400_000

/** See `Rotations.dryRun`. */
export async function dryRun(
  parts: RotationParts,
  key: string,
  request: DryRunRequest,
  signal: AbortSignal,
): Promise<DryRun> {
  const policy = parts.policyOf(key)
  const stored = await parts.keychain.get(key)
  const current = stored && versionOf(stored, 'current')
  const verdict = stored && (await tryVersion({ parts, key, id: 'dry run', signal }, stored, 'current'))
  const count = await parts.countPulls?.(key, new Date(parts.now().getTime() - DAYS * DAY_MS))
  const isGenerated = request.way === 'generated'
  return {
    key,
    way: request.way,
    refusals: await refusalsOf(parts, key, request, stored),
    current:
      current === undefined || verdict === undefined || verdict.outcome === 'absent'
        ? undefined
        : {
            version: current.id,
            username: current.username,
            verdict: verdict.outcome,
            detail: 'detail' in verdict ? verdict.detail : undefined,
          },
    forgotten: stored?.previous,
    hook:
      isGenerated && policy.hook !== undefined
        ? { command: nameOf(policy.hook), timeoutMs: policy.hook.timeoutMs }
        : undefined,
    canary: policy.canary,
    deadlineSeconds: request.deadlineSeconds,
    graceSeconds: policy.graceSeconds,
    pulls: count === undefined ? undefined : { count, days: DAYS },
    kubernetes: await parts.placesOf?.(key),
  }
}

/** The program, and its script where it is an interpreter; what else it is given is nobody's business. */
function nameOf({ command }: Hook): string {
  const [program = '', script = ''] = command
  return script.startsWith('/') ? `${program} ${script}` : program
}

async function refusalsOf(
  parts: RotationParts,
  key: string,
  { way }: DryRunRequest,
  stored: Credential | undefined,
): Promise<DryRun['refusals']> {
  const tests: (() => unknown)[] = [
    () => refuse(!parts.isListed(key), 'REGISTRY_UNLISTED'),
    () => refuse(stored === undefined, 'CREDENTIAL_NOT_FOUND'),
    () => refuse(way === 'generated' && parts.policyOf(key).hook === undefined, 'HOOK_NOT_CONFIGURED'),
    () => refuseWhileActive(stored),
    () => parts.journal.ready(),
  ]
  const refusals: DryRun['refusals'] = []
  for (const test of tests) {
    try {
      await test()
    } catch (thrown) {
      const { code, detail } = toRegcreddError(thrown)
      refusals.push({ code, detail })
    }
  }
  return refusals
}

function refuse(isRefused: boolean, code: ErrorCode): void {
  if (isRefused) throw new RegcreddError(code)
}

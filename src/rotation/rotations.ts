import type { Actor } from './acts.ts'
import type { DryRun } from './dry-run.ts'
import type { Login } from './labels.ts'
import type { Stored } from './replace-credential.ts'
import type { Rotation } from './rotation.ts'
import type { DryRunRequest, StartRequest } from './start-request.ts'

export type RollbackRequest = {
  /** How long the registry may take to accept it, as with a rotation. */
  deadlineSeconds: number
  actor: Actor
}

/**
 * Changes of credentials, each under the lock of its keychain item and each audited. Every method that answers throws KEYCHAIN_* when the store
 * does not work, AUDIT_UNAVAILABLE (then nothing was done, or it was done and its outcome could not be written) and SHUTTING_DOWN.
 */
export interface Rotations {
  /**
   * Stages a new secret durably and returns; applying, trying, committing and mirroring it go on behind. The same idempotency key with the same body
   * gives the same rotation. Throws REGISTRY_UNLISTED, CREDENTIAL_NOT_FOUND, ROTATION_ACTIVE, IDEMPOTENCY_CONFLICT, JOURNAL_UNAVAILABLE, and
   * HOOK_NOT_CONFIGURED where a generated secret is asked for and the registry has no hook.
   */
  start(key: string, request: StartRequest): Promise<Rotation>
  /** What `start` would do now; changes nothing, and sends CURRENT alone to the registry. Never refuses: what would be refused stands in `refusals`. */
  dryRun(key: string, request: DryRunRequest): Promise<DryRun>
  /** Throws ROTATION_NOT_FOUND. */
  get(id: string): Promise<Rotation>
  /** The last rotations, newest first: of one credential, or of all. */
  list(key: string | undefined): Promise<Rotation[]>
  /** As `get`, but not before the rotation has ended (`hasEnded`), `timeoutMs` have passed or the signal is aborted. */
  wait(id: string, timeoutMs: number, signal: AbortSignal): Promise<Rotation>
  /**
   * The rotation as it is, then again with each change, the newest only where the reader is slow; ends after one that has ended (`hasEnded`),
   * when the signal is aborted, and when the daemon stops. Throws ROTATION_NOT_FOUND at its first step.
   */
  follow(id: string, signal: AbortSignal): AsyncIterable<Rotation>
  /**
   * Drops PENDING; CURRENT stays. Aborting twice is no error. Throws ROTATION_NOT_FOUND, ROTATION_SETTLED after the commit, ROTATION_ELSEWHERE, and ROTATION_APPLIED where
   * a hook has begun to change the registry's password and is still at it, or CURRENT is not seen to work: it goes on then.
   */
  abort(id: string, actor: Actor): Promise<Rotation>
  /**
   * Takes a committed rotation back: a new rotation whose PENDING is PREVIOUS. Throws ROTATION_NOT_FOUND, ROTATION_ACTIVE, JOURNAL_UNAVAILABLE, and
   * ROLLBACK_IMPOSSIBLE where its version is not CURRENT or PREVIOUS is gone.
   */
  rollback(id: string, request: RollbackRequest): Promise<Rotation>
  /**
   * Ends a rotation that is STUCK: the version named (`v3`) becomes CURRENT, once all were tried at the registry and this one was accepted.
   * Throws ROTATION_NOT_FOUND, ROTATION_NOT_STUCK, and VERSION_REFUSED, whose detail says how each version fared.
   */
  resolve(id: string, version: string, actor: Actor): Promise<Rotation>
  /**
   * Takes up what an earlier process left: staged rotations go on, committed ones are mirrored again, what is over is retired. Resolves when all are
   * taken up and waits for a locked keychain, so a daemon does not wait for it. Never throws.
   */
  resume(): Promise<void>
  /** Another node has changed a credential: takes up what is this node's to drive and was not known here. Never throws. */
  adopted(key: string): void
  /**
   * A login: verified (unless `skip`), then CURRENT at once, then mirrored behind. Throws REGISTRY_UNLISTED, ROTATION_ACTIVE, CREDENTIAL_REFUSED,
   * UPSTREAM_UNREACHABLE, CREDENTIAL_UNVERIFIABLE; nothing is stored then. It ends a rotation that is STUCK.
   */
  replaceCredential(key: string, login: Login, verify: 'required' | 'skip', actor: Actor): Promise<Stored>
  /** A logout, of a registry that is no longer listed too. Throws CREDENTIAL_NOT_FOUND, ROTATION_ACTIVE. */
  removeCredential(key: string, actor: Actor): Promise<void>
  /** Stops what goes on behind, where it stands; staged rotations stay staged. */
  close(): Promise<void>
}

import { type ErrorCode, RegcreddError } from '../errors.ts'
import { type Credential, type RotationRecord, versionOf } from '../keychain/credential.ts'
import { journalled, reach } from './act-journal.ts'
import { applyOnce, type HookPast, pastOf } from './apply.ts'
import { revoke } from './grace.ts'
import { type Move, nextMove, type View } from './next-move.ts'
import { patiently, pause } from './patience.ts'
import { abort, commit, stick, wayOf } from './plan.ts'
import type { Hook, HookEnd, Verdict } from './ports.ts'
import { tryVersion } from './probe.ts'
import { act, type Run, readRun, stateIn, subjectOf } from './run.ts'
import { retryDelayMs } from './schedule.ts'

type Staged = { stored: Credential; record: RotationRecord }
type End = Extract<Move, { do: 'commit' | 'abort' | 'stick' }>
type Said = Pick<View, 'pending' | 'current' | 'previous'>

const NOTHING_SAID: Said = { pending: undefined, current: undefined, previous: undefined }

/**
 * Brings a staged rotation to its end: has the hook apply it where there is one, tries PENDING at the registry until it is accepted, and commits; or finds out
 * that it will not be, and aborts or is stuck. A refusal before the deadline decides nothing: the registry may learn the password later.
 * `isFresh`: PENDING was made a moment ago, and nobody can know it. Returns early, with the rotation as it is, when the signal is aborted or somebody
 * else has ended it. Never throws.
 */
export async function settle(run: Run, { isFresh }: { isFresh: boolean }): Promise<void> {
  const { parts, key, id, signal } = run
  const read = () => patiently(parts, key, id, () => readStaged(run), signal)
  let staged = await read()
  if (staged === undefined) return
  const pace = paceOf(run, staged.record)
  const hook = wayOf(staged.record) === 'provided' ? undefined : parts.policyOf(key).hook
  let past: HookPast = pastOf(parts.journal.of(id))
  let said: Said = { ...NOTHING_SAID, ...(isFresh && hook !== undefined ? { pending: 'rejected' } : {}) }
  for (let tries = 1; staged !== undefined && !signal.aborted; staged = await read()) {
    // Taken before the question: whatever is asked at or after the deadline was the last try.
    const isPastDeadline = pace.leftMs() <= 0
    const move = nextMove({ ...said, ...past, hasHook: hook !== undefined, isPastDeadline })
    switch (move.do) {
      case 'ask': {
        const verdict = await tryVersion(run, staged.stored, move.version)
        if (signal.aborted) return
        said = { ...said, [move.version]: verdict.outcome }
        run.note(noteOf(move.version, verdict, tries))
        continue
      }
      case 'run-hook': {
        if (hook === undefined) throw new RegcreddError('INTERNAL', 'a hook is to run and there is none')
        if (past.last !== undefined) await pace.pause(tries)
        past = (await runHook(run, hook, staged)) ?? past
        said = NOTHING_SAID
        tries += 1
        continue
      }
      case 'wait': {
        await pace.pause(tries)
        said = NOTHING_SAID
        tries += 1
        continue
      }
      default:
        await end(run, staged, move)
        return
    }
  }
}

/** Where time goes: by a clock that nobody sets, for the deadline must neither come early nor stay away when somebody sets the other one. */
function paceOf({ parts, signal }: Run, record: RotationRecord) {
  const startedAtMs = Date.parse(record.startedAt)
  const lengthMs = Math.max(0, Date.parse(record.deadline) - startedAtMs)
  const beganMs = parts.monotonicMs()
  const ageMs = Math.min(Math.max(0, parts.now().getTime() - startedAtMs), lengthMs)
  const elapsedMs = () => ageMs + parts.monotonicMs() - beganMs
  const leftMs = () => lengthMs - elapsedMs()
  return {
    leftMs,
    pause(tries: number): Promise<void> {
      const delayMs = retryDelayMs(tries, elapsedMs(), parts.random())
      const left = leftMs()
      return pause(parts, left > 0 ? Math.min(delayMs, left) : delayMs, signal)
    },
  }
}

async function runHook(run: Run, hook: Hook, staged: Staged): Promise<HookPast | undefined> {
  const { parts, key, id, signal } = run
  let ended: HookEnd | undefined
  const applied = await patiently(
    parts,
    key,
    id,
    async () => {
      if (ended === undefined) {
        await applyOnce(run, hook, staged, (end) => {
          ended = end
        })
      }
      if (ended?.outcome === 'done') await reach(parts, 'APPLIED', subjectOf(run))
      return ended
    },
    signal,
  )
  if (applied === undefined) return undefined
  run.note(applied.note)
  parts.onNote(applied.note, subjectOf(run))
  return pastOf(parts.journal.of(id))
}

async function end(run: Run, staged: Staged, move: End): Promise<void> {
  const { parts, key, id, signal } = run
  const now = () => {
    if (move.do === 'commit') return commitNow(run, staged)
    return move.do === 'abort' ? abortNow(run, move.code) : stickNow(run, move.code)
  }
  await patiently(parts, key, id, now, signal)
}

async function commitNow(run: Run, { stored, record: { version } }: Staged): Promise<void> {
  const { parts, key, id } = run
  const subject = subjectOf(run)
  await reach(parts, 'APPLIED', subject)
  await reach(parts, 'VERIFIED', subject)
  await revokeForgotten(run, stored)
  const { graceSeconds } = parts.policyOf(key)
  const move = () => parts.keychain.update(key, (before) => commit(before, id, parts.now(), graceSeconds))
  const done = () => journalled(parts, 'commit', subject, move, stateIn(run))
  await act(run, { action: 'rotation.commit', detail: { version } }, done)
}

/** The PREVIOUS of an earlier rotation is forgotten by the commit; one that a hook has made is ended at the registry before, as well as may be. */
async function revokeForgotten(run: Run, stored: Credential): Promise<void> {
  const previous = versionOf(stored, 'previous')
  const pending = versionOf(stored, 'pending')
  if (previous === undefined || pending === undefined) return
  // What a rollback takes back is in PENDING too.
  if ([pending, versionOf(stored, 'current')].some((kept) => kept?.secret.equals(previous.secret))) return
  const isTried = run.parts.journal.of(run.id).some(({ act, what }) => act === 'revoke' && what !== 'intent')
  if (!isTried) await revoke(run, previous, pending)
}

async function abortNow(run: Run, code: ErrorCode): Promise<void> {
  const { parts, key, id } = run
  const drop = () => parts.keychain.update(key, (before) => abort(before, id, code, parts.now()))
  const done = () => journalled(parts, 'abort', subjectOf(run), drop, stateIn(run))
  await act(run, { action: 'rotation.abort', detail: { code } }, done)
}

async function stickNow(run: Run, code: ErrorCode): Promise<void> {
  const { parts, key, id } = run
  const note = () => parts.keychain.update(key, (before) => stick(before, id, code, parts.now()))
  const done = () => journalled(parts, 'stick', subjectOf(run), note, stateIn(run))
  await act(run, { action: 'rotation.stick', detail: { code } }, done)
}

async function readStaged(run: Run): Promise<Staged | undefined> {
  const { stored, record } = await readRun(run)
  return stored === undefined || record?.state !== 'STAGED' ? undefined : { stored, record }
}

function noteOf(version: keyof Said, verdict: Verdict | { outcome: 'absent' }, tries: number): string {
  const detail = 'detail' in verdict ? `: ${verdict.detail}` : ''
  return `${version.toUpperCase()} ${verdict.outcome}${detail} (try ${tries})`
}

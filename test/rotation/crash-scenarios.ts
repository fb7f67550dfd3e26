/** What the crash suite's process lives through; each comes to its end by itself when nobody kills it, and by `resume` when somebody does. */
import type { HookEnd, HookInput } from '../../src/rotation/ports.ts'
import type { Rotations } from '../../src/rotation/rotations.ts'
import { Secret } from '../../src/secret.ts'
import { admin, KEY, login, newPassword } from './kit.ts'

/** Passwords that the registry accepts, in a file. */
export type Account = { read: () => string[]; accepts: (...passwords: string[]) => void }

type Stage = { rotations: Rotations; account: Account; settled: () => Promise<void> }

export type Scenario = {
  run: (stage: Stage) => Promise<void>
  /** Called before each answer of the registry, with their number in this process. */
  onAsked?: (account: Account, asked: number) => void
  /** A hook of the operator's; what it does at the registry is done when it returns. */
  hook?: (account: Account, input: HookInput) => HookEnd
  journalBytes?: number
  /** Whether the registry may for a while accept nothing that is stored. */
  mayBeStuck?: true
  /** The grace does not pass. */
  isGraceLong?: true
}

const signal = new AbortController().signal
const generate = { ...newPassword(''), secret: undefined }

async function loggedIn({ rotations }: Stage): Promise<void> {
  await rotations.replaceCredential(KEY, login('old'), 'required', admin)
}

async function rotate({ rotations, settled }: Stage, request: Parameters<Rotations['start']>[1]): Promise<string> {
  const { id } = await rotations.start(KEY, request)
  await rotations.wait(id, 10_000, signal)
  await settled()
  return id
}

export const scenarios: Record<string, Scenario> = {
  'a provided password that the registry learns later': {
    onAsked: (account, asked) => {
      // Somebody changes it there once it is staged: what is staged must then be stored.
      if (asked === 3 && account.read().includes('old')) account.accepts('new')
    },
    run: async (stage) => {
      await loggedIn(stage)
      await rotate(stage, newPassword('new'))
    },
  },
  'a wrong password': {
    run: async (stage) => {
      await loggedIn(stage)
      await rotate(stage, newPassword('wrong', { deadlineSeconds: 0 }))
    },
  },
  'a generated password, and a hook that works at its second try': {
    hook: (account, input) => {
      const accepted = account.read()
      if (accepted.length === 1 && accepted[0] === 'old') {
        account.accepts('old', 'asked once')
        return { outcome: 'retry', note: 'come again' }
      }
      account.accepts(input.newSecret.reveal())
      return { outcome: 'done', made: undefined, note: 'done' }
    },
    run: async (stage) => {
      await loggedIn(stage)
      await rotate(stage, generate)
    },
  },
  'passwords that the registry makes itself, twice': {
    hook: (account, input) => {
      const accepted = account.read()
      if (input.action === 'retire') {
        account.accepts(...accepted.filter((one) => one !== input.oldSecret.reveal()))
        return { outcome: 'done', made: undefined, note: 'ended' }
      }
      const made = `made-${input.rotation}`
      account.accepts(...accepted.filter((one) => one !== made), made)
      return { outcome: 'done', made: { secret: new Secret(made) }, note: 'made' }
    },
    journalBytes: 3_000,
    run: async (stage) => {
      await loggedIn(stage)
      await rotate(stage, generate)
      await rotate(stage, generate)
    },
  },
  'a rotation that is stuck, and resolved': {
    mayBeStuck: true,
    onAsked: (account, asked) => {
      if (asked === 2 && account.read().includes('old')) account.accepts('a third one')
    },
    run: async (stage) => {
      await loggedIn(stage)
      const id = await rotate(stage, newPassword('new', { deadlineSeconds: 0 }))
      stage.account.accepts('new')
      await stage.rotations.resolve(id, 'v2', admin)
      await stage.rotations.wait(id, 10_000, signal)
      await stage.settled()
    },
  },
  'a rotation that is aborted on request, and one that is taken back': {
    isGraceLong: true,
    run: async (stage) => {
      const { rotations, account } = stage
      await loggedIn(stage)
      const dropped = await rotations.start(KEY, newPassword('unwanted', { deadlineSeconds: 86_400 }))
      await rotations.abort(dropped.id, admin)
      account.accepts('old', 'new')
      const { id } = await rotations.start(KEY, newPassword('new'))
      await rotations.wait(id, 10_000, signal)
      const back = await rotations.rollback(id, { deadlineSeconds: 60, actor: admin })
      await rotations.wait(back.id, 10_000, signal)
      await rotations.removeCredential(KEY, admin)
    },
  },
}

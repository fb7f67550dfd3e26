import { setTimeout } from 'node:timers/promises'
import type { Config } from '../../src/config/config.ts'
import type { Credential } from '../../src/keychain/credential.ts'
import { createMirror, type MirrorRoom, type MirrorStatus } from '../../src/mirror/mirror.ts'
import type { MirrorEntry } from '../../src/mirror/selection.ts'
import type { Time } from '../../src/mirror/time.ts'
import { eventually } from '../helpers/eventually.ts'
import { credentialOf } from './credentials.ts'

type Kubernetes = NonNullable<Config['kubernetes']>
export type Mirrors = (Pick<MirrorEntry, 'registries'> & Partial<MirrorEntry>)[]

export type Rig = MirrorRoom & {
  /** Stores CURRENT of a registry; undefined takes it away. Its seq grows by itself. */
  store(key: string, password: string | undefined, username?: string): void
  /** Makes every look-up in the keychain throw, or stops doing so. */
  breakKeychain(thrown: Error | undefined): void
  run(key?: string): ReturnType<MirrorRoom['mirror']>
  changes: MirrorStatus[]
  drifts: MirrorStatus[]
}

export const realTime: Time = {
  now: () => new Date(),
  sleep: (durationMs, signal) => setTimeout(durationMs, undefined, { signal }),
  random: Math.random,
}

/** A mirror room over a keychain in memory. */
export function createRig(options: {
  kubeconfig: string
  mirrors: Mirrors
  time?: Time
  callTimeoutMs?: number
  resyncIntervalMs?: number
  silenceMs?: number
  mayWrite?: () => boolean
  kubernetes?: Partial<Kubernetes>
}): Rig {
  const stored = new Map<string, Credential>()
  const seqs = new Map<string, number>()
  const changes: MirrorStatus[] = []
  let broken: Error | undefined
  const { kubeconfig, mirrors, resyncIntervalMs = 300_000, silenceMs, mayWrite } = options
  const drifts: MirrorStatus[] = []
  const room = createMirror({
    config: {
      kubeconfig,
      mirrors: mirrors.map(entryOf),
      resyncIntervalMs,
      owner: undefined,
      orphansAfterMs: 1,
      formerSecretNames: [],
      renewToken: false,
      ...options.kubernetes,
    },
    owner: 'node-1',
    readCredential: async (key) => {
      if (broken !== undefined) throw broken
      return stored.get(key)
    },
    time: options.time ?? realTime,
    onChange: (status) => changes.push(status),
    onDrift: (status) => drifts.push(status),
    ...(silenceMs !== undefined && { silenceMs }),
    ...(mayWrite !== undefined && { mayWrite }),
    callTimeoutMs: options.callTimeoutMs ?? 10_000,
  })
  return {
    ...room,
    changes,
    drifts,
    store(key, password, username = 'ci') {
      const seq = (seqs.get(key) ?? 0) + 1
      seqs.set(key, seq)
      if (password === undefined) stored.delete(key)
      else stored.set(key, credentialOf(key, { password, username, seq }))
    },
    breakKeychain(thrown) {
      broken = thrown
    },
    run: (key = 'registry.corp.example') => room.mirror(key, new AbortController().signal),
  }
}

/** A mirror's entry with the defaults of the schema. */
export function entryOf(entry: Mirrors[number]): MirrorEntry {
  return { exceptNamespaces: [], secretName: 'regcred', serviceAccounts: [], adopt: false, ...entry }
}

/** Waits until `holds` does; fails after `withinMs`. */
export async function until(holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  await eventually('what the test waits for', holds, withinMs)
}

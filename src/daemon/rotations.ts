import { hostname } from 'node:os'
import { createActReport } from '../act-report.ts'
import type { Audit } from '../audit/writer.ts'
import type { KnownKeychain } from '../keychain/known.ts'
import { createMirror, type MirrorRoom } from '../mirror/mirror.ts'
import { runHook } from '../rotation/hook.ts'
import { createJournal } from '../rotation/journal.ts'
import { createRotations } from '../rotation/machine.ts'
import { realTime } from '../rotation/real-time.ts'
import type { Rotations } from '../rotation/rotations.ts'
import type { Base } from './part.ts'
import { policyOf } from './rotation-policy.ts'
import type { Upstream } from './upstream.ts'

const NOTABLE = new Set(['failed', 'foreign', 'orphan', 'removed'])

export function buildMirror({ config, log, metrics, stack }: Base, keychain: KnownKeychain): MirrorRoom {
  const mirror = createMirror({
    config: config.kubernetes,
    owner: hostname(),
    readCredential: (key) => keychain.get(key),
    time: realTime,
    onChange: (status) => log[NOTABLE.has(status.outcome) ? 'warn' : 'info']({ ...status }, 'mirror'),
    onDrift: ({ namespace, secretName, detail }) => {
      metrics.mirrorDrifted()
      log.warn({ namespace, secretName, detail }, 'somebody had changed what the mirror wrote')
    },
  })
  stack.defer(() => mirror.close())
  return mirror
}

/** Builds the rotations; their end is the caller's, together with that of the admin API. */
export function buildRotations(
  { config, log, metrics }: Base,
  parts: { audit: Audit; keychain: KnownKeychain; upstream: Upstream; mirror: MirrorRoom },
): Rotations {
  const { audit, keychain, upstream, mirror } = parts
  const pass = () => undefined
  return createRotations({
    keychain,
    journal: createJournal({
      path: config.rotation.journal,
      now: realTime.now,
      pass,
      onFault: ({ tornBytes, damaged }) =>
        log.error({ file: config.rotation.journal, tornBytes, damaged }, 'the journal of rotations was damaged'),
    }),
    verify: upstream.verify,
    runHook,
    mirror: mirror.mirror,
    onAct: createActReport({ record: (act) => audit.act(act), forget: upstream.forget, metrics }),
    onFault: (thrown, about) => log.error({ ...about, err: thrown }, 'a rotation met a fault'),
    onNote: (note, about) => log.info({ ...about, note }, 'rotation'),
    isListed: (key) => config.registries.some(({ name }) => name === key),
    policyOf: (key) => policyOf(config, key),
    pass,
    ...realTime,
  })
}

import { hostname } from 'node:os'
import { createActReport } from '../act-report.ts'
import type { Audit } from '../audit/writer.ts'
import { electMirror } from '../fleet/elected-mirror.ts'
import { fleetRights } from '../fleet/rights.ts'
import type { KnownKeychain } from '../keychain/known.ts'
import { createMirror, type MirrorRoom, type MirrorStatus } from '../mirror/mirror.ts'
import { callerRights } from '../mirror/rights.ts'
import { runHook } from '../rotation/hook.ts'
import { createJournal } from '../rotation/journal.ts'
import { createRotations } from '../rotation/machine.ts'
import type { Places } from '../rotation/parts.ts'
import { realTime } from '../rotation/real-time.ts'
import type { Rotations } from '../rotation/rotations.ts'
import { attempt } from './attempt.ts'
import { countPulls } from './count-pulls.ts'
import type { FleetPart } from './fleet.ts'
import type { Base } from './part.ts'
import { policyOf } from './rotation-policy.ts'
import type { Upstream } from './upstream.ts'

const LOOK_TIMEOUT_MS = 5_000
const NOTABLE = new Set(['failed', 'foreign', 'orphan', 'removed'])

/** The mirror: of this node alone, or that of the fleet, which one node at a time writes. */
export function buildMirror(
  base: Base,
  { audit, keychain, fleet }: { audit: Audit; keychain: KnownKeychain; fleet: FleetPart | undefined },
): MirrorRoom {
  const { config, log, stack } = base
  const { kubernetes } = config
  const makeRoom = (onChange: () => void) => makeMirror(base, { audit, keychain, fleet, onChange })
  if (fleet === undefined || kubernetes === undefined) {
    const mirror = makeRoom(() => undefined)
    stack.defer(() => mirror.close())
    return mirror
  }
  const mirror = electMirror({
    makeRoom,
    fleet,
    keys: [...new Set(kubernetes.mirrors.flatMap(({ registries }) => registries))],
    seqOf: async (key) => (await keychain.get(key))?.seq,
    sleep: realTime.sleep,
    steadyMs: realTime.monotonicMs,
    onFault: (thrown) => log.error({ err: thrown }, 'the mirror of the fleet'),
  })
  fleet.onLead(mirror.lead)
  fleet.onAdopted(mirror.adopted)
  stack.defer(() => mirror.close())
  return mirror
}

function makeMirror(
  { config, log, metrics }: Base,
  parts: { audit: Audit; keychain: KnownKeychain; fleet: FleetPart | undefined; onChange: () => void },
): MirrorRoom {
  const { audit, keychain, fleet, onChange } = parts
  const { kubernetes } = config
  const note = (type: 'mirror.drift' | 'mirror.removed', { namespace, secretName }: MirrorStatus) =>
    attempt(log, 'an act of the mirror could not be recorded', () =>
      audit.event({ type, detail: { namespace, secretName } }),
    )
  const listed = config.registries.map(({ name }) => name)
  return createMirror({
    config: kubernetes,
    // The nodes of a fleet write the same Secrets, one after the other.
    owner: kubernetes?.fleet?.namespace ?? hostname(),
    readCredential: (key) => keychain.get(key),
    time: realTime,
    ...(fleet !== undefined && { mayWrite: fleet.mayWrite }),
    moreRights: [
      ...(kubernetes !== undefined && fleet !== undefined ? fleetRights(kubernetes, fleet.node, listed) : []),
      ...(config.admin.kubernetesAuth === undefined ? [] : callerRights),
    ],
    onChange: (status) => {
      onChange()
      log[NOTABLE.has(status.outcome) ? 'warn' : 'info']({ ...status }, 'mirror')
      if (status.outcome === 'removed') note('mirror.removed', status)
    },
    onDrift: (status) => {
      const { namespace, secretName, detail } = status
      metrics.mirrorDrifted()
      log.warn({ namespace, secretName, detail }, 'somebody had changed what the mirror wrote')
      note('mirror.drift', status)
    },
  })
}

/** Builds the rotations; their end is the caller's, together with that of the admin API. */
export function buildRotations(
  { config, log, metrics }: Base,
  parts: {
    audit: Audit
    keychain: KnownKeychain
    upstream: Upstream
    mirror: MirrorRoom
    fleet: FleetPart | undefined
  },
): Rotations {
  const { audit, keychain, upstream, mirror, fleet } = parts
  const pass = () => undefined
  return createRotations({
    keychain: fleet === undefined ? keychain : { ...keychain, update: fleet.update },
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
    ...(fleet !== undefined && { fleet }),
    onAct: createActReport({ record: (act) => audit.act(act), forget: upstream.forget, metrics }),
    onFault: (thrown, about) => log.error({ ...about, err: thrown }, 'a rotation met a fault'),
    onNote: (note, about) => log.info({ ...about, note }, 'rotation'),
    isListed: (key) => config.registries.some(({ name }) => name === key),
    policyOf: (key) => policyOf(config, key),
    scheduled: config.registries.flatMap(({ name, rotation }) =>
      rotation.rotateEverySeconds === undefined ? [] : name,
    ),
    countPulls: (key, since) => countPulls(config.audit.folder, key, since),
    placesOf: async (key) => (config.kubernetes === undefined ? undefined : placesOf(mirror, fleet, key)),
    pass,
    ...realTime,
  })
}

/** Where this credential is mirrored to, and the nodes that hold it, as far as the cluster is known. */
async function placesOf(mirror: MirrorRoom, fleet: FleetPart | undefined, key: string): Promise<Places> {
  const nodes = await fleet?.holders(key, AbortSignal.timeout(LOOK_TIMEOUT_MS))
  return { secrets: mirror.plan(key), nodes: nodes ?? [fleet?.node ?? hostname()] }
}

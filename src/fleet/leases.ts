import type { V1Lease } from '@kubernetes/client-node'
import { type Base, notTheApi, orAbsent, orConflict } from '../mirror/api-answer.ts'
import type { Call } from '../mirror/call.ts'
import type { Answer } from '../mirror/fault.ts'
import type { Client } from '../mirror/kubeconfig.ts'
import { OWNER, OWNER_LABEL } from '../mirror/ownership.ts'
import { FIELD_MANAGER, PART_LABEL } from './names.ts'

/** What is written into a Lease. Its times are for people; nobody here compares them with a clock of his own. */
export type LeaseWriting = {
  /** `''`: nobody. */
  holder: string
  durationSeconds: number
  transitions: number
  acquiredAt: Date
  renewedAt: Date
  part: 'node' | 'leader'
  annotations: Record<string, string>
}

export type FoundLease = Base & {
  name: string
  holder: string
  durationSeconds: number
  transitions: number
  acquiredAt: Date | undefined
  annotations: Record<string, string>
  /** When the API server, by its own clock, took the last write: RFC 3339, whole seconds. */
  writtenAt: Date | undefined
}

/** The calls for Leases of one namespace. None of them throws; every answer is safe to show. */
export type Leases = {
  read(name: string, signal: AbortSignal): Promise<Answer<FoundLease | undefined>>
  /** Those of all nodes. */
  ofNodes(signal: AbortSignal): Promise<Answer<FoundLease[]>>
  /** `conflict` where there is one already. */
  create(name: string, writing: LeaseWriting, signal: AbortSignal): Promise<Answer<FoundLease>>
  /** Replaces the very Lease that was read; `conflict` when it is not the same any more. */
  replace(name: string, writing: LeaseWriting, base: Base, signal: AbortSignal): Promise<Answer<FoundLease>>
}

const PAGE = 500
const MAX_PAGES = 40
/** Whoever may write a Lease may write anything into it: a longer one would keep all others out. */
const MAX_DURATION_SECONDS = 3_600

/** What of a Lease tells who holds it, and since when. */
export function heldBy(
  before: FoundLease | undefined,
  holder: string,
  now: Date,
): Pick<LeaseWriting, 'holder' | 'transitions' | 'acquiredAt' | 'renewedAt'> {
  const isSame = before?.holder === holder
  return {
    holder,
    transitions: (before?.transitions ?? -1) + (isSame ? 0 : 1),
    acquiredAt: isSame ? (before.acquiredAt ?? now) : now,
    renewedAt: now,
  }
}

/** Writes the Lease as it was read: `conflict` when it is not the same any more, or not absent any more. */
export function writeLease(
  leases: Leases,
  name: string,
  writing: LeaseWriting,
  before: FoundLease | undefined,
  signal: AbortSignal,
): Promise<Answer<FoundLease>> {
  return before === undefined ? leases.create(name, writing, signal) : leases.replace(name, writing, before, signal)
}

export function leasesOf(call: Call, namespace: string): Leases {
  return {
    async read(name, signal) {
      return orAbsent(
        await call(signal, async (connection, options) =>
          foundOf(await connection.coordination.readNamespacedLease({ namespace, name }, options), name),
        ),
      )
    },
    ofNodes: (signal) =>
      call(signal, async (connection, options) => {
        const found: FoundLease[] = []
        let next: string | undefined
        for (let page = 0; page < MAX_PAGES; page += 1) {
          const list = await connection.coordination.listNamespacedLease(
            {
              namespace,
              labelSelector: `${OWNER_LABEL}=${OWNER},${PART_LABEL}=node`,
              limit: PAGE,
              ...(next !== undefined && { _continue: next }),
            },
            options,
          )
          found.push(...(list.items ?? []).map((lease) => foundOf(lease)))
          next = list.metadata?._continue
          if (next === undefined || next === '') return found
        }
        throw notTheApi()
      }),
    create: (name, writing, signal) =>
      call(signal, async (connection, options) => {
        const body = manifest(name, namespace, writing, connection.client)
        return foundOf(
          await connection.coordination.createNamespacedLease(
            { namespace, body, fieldManager: FIELD_MANAGER },
            options,
          ),
          name,
        )
      }),
    async replace(name, writing, { uid, resourceVersion }, signal) {
      return orConflict(
        await call(signal, async (connection, options) => {
          const body = manifest(name, namespace, writing, connection.client, { uid, resourceVersion })
          return foundOf(
            await connection.coordination.replaceNamespacedLease(
              { namespace, name, body, fieldManager: FIELD_MANAGER },
              options,
            ),
            name,
          )
        }),
      )
    },
  }
}

function manifest(name: string, namespace: string, writing: LeaseWriting, client: Client, base?: Base): V1Lease {
  const { holder, durationSeconds, transitions, acquiredAt, renewedAt, part, annotations } = writing
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace, ...base, labels: { [OWNER_LABEL]: OWNER, [PART_LABEL]: part }, annotations },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: durationSeconds,
      leaseTransitions: transitions,
      acquireTime: new client.V1MicroTime(acquiredAt),
      renewTime: new client.V1MicroTime(renewedAt),
    },
  }
}

function foundOf({ metadata, spec }: V1Lease, name?: string): FoundLease {
  const { uid, resourceVersion } = metadata ?? {}
  const isOne = metadata?.name !== undefined && (name === undefined || metadata.name === name)
  if (!isOne || uid === undefined || resourceVersion === undefined) throw notTheApi()
  const times = (metadata?.managedFields ?? [])
    .flatMap(({ time }) => time ?? [])
    .map((time) => new Date(time).getTime())
  const durationSeconds = spec?.leaseDurationSeconds ?? 0
  return {
    name: metadata?.name ?? '',
    uid,
    resourceVersion,
    holder: spec?.holderIdentity ?? '',
    durationSeconds: Math.min(Math.max(durationSeconds, 1), MAX_DURATION_SECONDS),
    transitions: spec?.leaseTransitions ?? 0,
    acquiredAt: spec?.acquireTime && new Date(spec.acquireTime),
    annotations: metadata?.annotations ?? {},
    writtenAt: times.length === 0 ? undefined : new Date(Math.max(...times)),
  }
}

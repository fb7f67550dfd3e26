import { z } from 'zod'

/** Every form that an answer may have. A test holds them against real answers, and docs/openapi.json is made of them. */

const time = z.iso.datetime().describe('RFC 3339, UTC.')
const count = z.int().min(0)

const storedCredential = z.strictObject({
  username: z.string(),
  version: z.string().describe('`v1`, `v2`, …: never used twice.'),
  seq: count.describe('Grows by one with each change of the labels CURRENT, PENDING and PREVIOUS.'),
  createdAt: time,
  pending: z.boolean().describe('Whether a rotation is under way.'),
})

export const registry = z.strictObject({
  host: z.string().describe('`host[:port]` or `host[:port]/path`; the key of its credential.'),
  upstream: z.string().nullable().describe('Where requests go; `null` where it is not listed.'),
  credential: storedCredential.nullable().describe('`null`: none is stored.'),
  mode: z.enum(['optional', 'required']).nullable(),
  listed: z
    .boolean()
    .describe('`false`: a credential is stored for it, and the configuration no longer lists it. No pull gets it.'),
})
export const registries = z.strictObject({
  registries: z.array(registry),
  complete: z
    .boolean()
    .describe(
      '`false`: the keychain cannot be read now, so credentials that are no longer listed may be missing here.',
    ),
})

export const stored = z.strictObject({ host: z.string(), username: z.string(), version: z.string(), seq: count })

const rotationState = z.enum([
  'STAGED',
  'APPLIED',
  'VERIFIED',
  'COMMITTED',
  'MIRRORED',
  'GRACE',
  'RETIRED',
  'ABORTED',
  'STUCK',
])

const mirrorOutcome = z.strictObject({
  namespace: z.string(),
  secretName: z.string(),
  outcome: z.enum(['created', 'updated', 'unchanged', 'foreign', 'failed', 'orphan', 'removed']),
  detail: z.string().nullable(),
  serviceAccounts: z
    .array(
      z.strictObject({
        name: z.string(),
        outcome: z.enum(['added', 'unchanged', 'absent', 'failed']),
        detail: z.string().optional(),
      }),
    )
    .optional()
    .describe('The ServiceAccounts that are to name the Secret; absent where none is configured.'),
})

export const rotation = z.strictObject({
  id: z.string(),
  host: z.string(),
  state: rotationState.describe('The furthest state that was reached.'),
  way: z.enum(['provided', 'generated', 'rollback']),
  version: z.string(),
  deadline: time.describe('When the registry must have accepted the new password.'),
  startedAt: time,
  endedAt: time.nullable().describe('When it was committed or aborted, or found to be stuck.'),
  graceEndsAt: time.nullable().describe('When PREVIOUS goes; once committed.'),
  rollbackOf: z.string().nullable().describe('The rotation that this one takes back.'),
  code: z.string().nullable().describe('Why it was aborted or is stuck: a code of docs/errors.md.'),
  note: z.string().nullable().describe('What it waits for, or what the last outside call said.'),
  steps: z.array(z.strictObject({ state: rotationState, at: time })).describe('Oldest first; the last one is `state`.'),
  mirror: z.array(mirrorOutcome).describe('What became of each Secret.'),
  partial: z.boolean().describe('The mirror has run, and not every Secret holds the new version.'),
})
export const rotations = z.strictObject({ rotations: z.array(rotation).describe('Newest first.') })

export const dryRun = z.strictObject({
  dryRun: z.literal(true),
  host: z.string(),
  way: z.enum(['provided', 'generated']),
  refusals: z
    .array(z.strictObject({ code: z.string(), detail: z.string().nullable() }))
    .describe('Why it would not be begun now; empty where it would.'),
  current: z
    .strictObject({
      version: z.string(),
      username: z.string(),
      verdict: z.enum(['accepted', 'rejected', 'unreachable', 'unverifiable']),
      detail: z.string().nullable(),
    })
    .nullable()
    .describe('The version in force, and what the registry says to it now.'),
  forgotten: z.string().nullable().describe('The version that would be forgotten at the commit.'),
  hook: z.strictObject({ command: z.string(), timeoutMs: count }).nullable(),
  canary: z.string().nullable(),
  deadlineSeconds: count,
  graceSeconds: count,
  pulls: z
    .strictObject({ count, days: count })
    .nullable()
    .describe('Pulls with this credential lately; `null` where nobody counts them.'),
  kubernetes: z
    .strictObject({
      secrets: z.array(
        z.strictObject({ namespace: z.string(), secretName: z.string(), serviceAccounts: z.array(z.string()) }),
      ),
      nodes: z.array(z.string()),
    })
    .nullable()
    .describe('Whom it would reach; `null` without a cluster.'),
})

export const mirror = z.strictObject({
  configured: z.boolean(),
  results: z.array(z.strictObject({ ...mirrorOutcome.shape, host: z.string(), at: time })),
  stale: z.boolean().describe('Some Secret may not hold what the keychain holds.'),
  fault: z.string().nullable().describe('Why the cluster is not followed, where that is so.'),
  fleet: z
    .strictObject({ node: z.string(), leader: z.string().nullable(), writes: z.boolean() })
    .nullable()
    .describe(
      'This node, the one that writes the Secrets, and whether they are the same; `null` without a fleet. `results` has those that this node wrote.',
    ),
})

export const kubernetesRights = z.strictObject({
  complete: z.boolean().describe('None is missing.'),
  rights: z.array(
    z.strictObject({
      namespace: z.string().nullable().describe('`null`: in all namespaces.'),
      verb: z.string(),
      resource: z.enum(['namespaces', 'secrets', 'serviceaccounts', 'leases', 'tokenreviews', 'subjectaccessreviews']),
      name: z.string().nullable().describe('`null`: of any name.'),
      purpose: z.string(),
      allowed: z.boolean(),
    }),
  ),
})

export const nodes = z.strictObject({
  configured: z.boolean().describe('Whether this node is in a fleet.'),
  node: z.string().nullable().describe('This node; `null` without a fleet, like what follows.'),
  leader: z.string().nullable().describe('The node that writes the mirrored Secrets, where one is known to.'),
  fault: z.string().nullable().describe('Why the cluster did not tell all.'),
  credentials: z
    .array(
      z.strictObject({
        host: z.string(),
        secretName: z.string().describe('Name of the canonical Secret.'),
        standing: z.enum(['synced', 'absent', 'behind', 'ahead', 'forked', 'garbled', 'unknown']),
        seq: count.nullable().describe('Of what this node holds.'),
        fleetSeq: count.nullable().describe('Of what the fleet held when it was last seen.'),
        detail: z.string().nullable(),
      }),
    )
    .describe('How this node stands to the fleet.'),
  nodes: z
    .array(
      z.strictObject({
        node: z.string(),
        live: z.boolean().describe('Not silent for three heartbeats.'),
        silentSeconds: count.describe('Since its last sign, by the clock of the API server.'),
        leads: z.boolean(),
        adopted: z.record(z.string(), count).describe('`seq` of each credential that it is to hold; 0: none yet.'),
      }),
    )
    .nullable()
    .describe('`null`: the cluster does not tell.'),
})

/** Its sections grow with what the daemon does, so they may hold more than is named here. */
export const status = z.looseObject({
  ready: z.boolean(),
  reasons: z.array(z.string()).describe('Why it is not ready, and warnings.'),
  version: z.string(),
  node: z.string(),
  startedAt: time,
  registries: count.describe('How many are listed.'),
  proxy: z.looseObject({ listen: z.string(), callers: z.string() }),
  egress: z
    .looseObject({
      proxies: z.array(z.string()),
      from: z.string(),
      login: z.boolean(),
      registries: z.array(z.string()),
    })
    .nullable()
    .describe('By which proxies registries are reached, and which of them; `null`: straight.'),
  admin: z.looseObject({ socket: z.string(), tls: z.string().nullable().describe('`null`: none is configured.') }),
  keychain: z.looseObject({ store: z.enum(['os', 'file', 'memory']), state: z.string(), since: time }),
  audit: z.looseObject({ folder: z.string(), writable: z.boolean() }),
  heldLogins: z.array(z.looseObject({ registry: z.string(), version: z.string() })),
  metLimits: z.array(z.looseObject({ registry: z.string() })),
  mirror: z.looseObject({ stale: z.boolean(), secrets: count, failed: count }).nullable(),
})

export const audit = z.strictObject({
  records: z.array(
    z.looseObject({ seq: z.int().min(1), time, node: z.string(), type: z.string() }).describe('See docs/audit.md.'),
  ),
})

export const token = z.strictObject({
  id: z.string(),
  name: z.string().nullable(),
  scopes: z.array(z.string()),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: time.nullable().describe('To the hour.'),
})
export const tokens = z.strictObject({ tokens: z.array(token).describe('Oldest first.') })

/** RFC 9457. */
export const problem = z.strictObject({
  type: z.string().describe('`urn:regcredd:error:` and the code.'),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: z.string().describe('A code of docs/errors.md.'),
  errors: z
    .array(z.strictObject({ path: z.string(), message: z.string() }))
    .optional()
    .describe('Every field that is wrong.'),
})

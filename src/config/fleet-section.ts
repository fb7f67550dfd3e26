import { z } from 'zod'
import { labelSelector } from './label.ts'
import { NAMESPACE } from './names.ts'

/** The section `kubernetes.fleet` of the configuration file. */
export const fleetSection = z.strictObject({
  namespace: z
    .string()
    .regex(NAMESPACE, 'must be the name of a namespace')
    .default('regcredd-system')
    .describe('The namespace of the canonical Secrets and the Leases. Nobody else should have rights in it.'),
  node: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/, 'must be letters, digits, `.`, `_` and `-`')
    .optional()
    .describe('Name of this node, another for each. Absent: the name of the host.'),
  nodeLabels: z
    .record(z.string(), z.string())
    .default({})
    .describe('Labels of this node, for `nodeSelector`. They choose what it asks for; RBAC decides what it gets.'),
  registries: z
    .array(
      z.strictObject({
        host: z.string().describe('A registry as in `registries[].host`.'),
        nodeSelector: labelSelector('node')
          .optional()
          .describe('Labels of the nodes that hold its credential. Absent: all nodes do.'),
      }),
    )
    .min(1)
    .optional()
    .describe(
      'The registries whose credentials the nodes share; those of others stay on their node. Absent: all registries, on all nodes.',
    ),
  leaseSeconds: z
    .int()
    .min(2)
    .max(300)
    .default(15)
    .describe(
      'How long the node that writes the mirrored Secrets may be silent until another takes its place. The same on all nodes.',
    ),
  heartbeatSeconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(60)
    .describe('How often a node says that it is there. After three that did not come it counts as gone.'),
})

export type FleetSection = z.output<typeof fleetSection>

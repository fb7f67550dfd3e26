import { z } from 'zod'
import { fleetSection } from './fleet-section.ts'
import { labelSelector } from './label.ts'
import { milliseconds } from './milliseconds.ts'

export const mirrorEntry = z.strictObject({
  registries: z
    .array(z.string())
    .min(1)
    .describe('Registries (as in `registries[].host`) whose credentials the Secret holds.'),
  namespaces: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'Namespaces that get the Secret: names, or patterns where `*` stands for any text. Absent: those of `namespaceSelector`; with both, a namespace must meet both. kube-system, kube-public and kube-node-lease are met by their full name only.',
    ),
  exceptNamespaces: z
    .array(z.string())
    .default([])
    .describe('Names or patterns of namespaces that do not get it whatever else they meet.'),
  namespaceSelector: labelSelector('namespace')
    .optional()
    .describe('Labels of the namespaces that get the Secret, as in a Kubernetes label selector. `{}`: all namespaces.'),
  secretName: z.string().default('regcred').describe('Name of the Secret in each namespace.'),
  serviceAccounts: z
    .array(z.string())
    .default([])
    .describe(
      'ServiceAccounts of those namespaces that get the Secret among their `imagePullSecrets`. `default` is made where it is missing, others are waited for.',
    ),
  adopt: z
    .boolean()
    .default(false)
    .describe(
      'Whether a Secret of that name and type that regcredd did not make is taken over, its content replaced; never one that holds other registries.',
    ),
})

/** The section `kubernetes` of the configuration file. */
export const kubernetes = z.strictObject({
  kubeconfig: z.string().describe('Path of a kubeconfig file.'),
  renewToken: z
    .boolean()
    .default(false)
    .describe(
      'Whether the daemon renews the ServiceAccount token in the `tokenFile` of the kubeconfig by TokenRequest, as `regcredd kubernetes join` sets it up.',
    ),
  mirrors: z
    .array(mirrorEntry)
    .default([])
    .describe(
      'Which credentials go into which Secrets. Empty only where there is a `fleet`, or `admin.kubernetesAuth`.',
    ),
  owner: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'must be letters, digits, `.`, `_` and `-`, at most 63')
    .optional()
    .describe(
      'Name under which this daemon owns its Secrets in the cluster; what another owns is left alone. Absent: the name of the node, or of the namespace of the fleet.',
    ),
  orphansAfterMs: milliseconds(600_000).describe(
    'How long a Secret of ours that no mirror wants any more is left until it is deleted. Only where some mirror has a pattern or a selector: else nobody looks outside the named namespaces.',
  ),
  formerSecretNames: z
    .array(z.string())
    .default([])
    .describe('Names that Secrets were mirrored under before; what is still there of ours is deleted as an orphan.'),
  resyncIntervalMs: milliseconds(300_000).describe('How often all Secrets are compared and repaired.'),
  fleet: fleetSection
    .optional()
    .describe(
      'The nodes that share their credentials by way of this cluster, with the same `kubernetes` on all of them. Absent: this node is alone.',
    ),
})

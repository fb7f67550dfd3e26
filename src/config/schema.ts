import { z } from 'zod'
import { egressSection } from './egress-section.ts'
import { kubernetes } from './kubernetes-section.ts'
import { milliseconds } from './milliseconds.ts'
import { proxyTls } from './proxy-tls.ts'
import { CALLER_MODES, registryEntry } from './registry-section.ts'
import { rotationSection } from './rotation-section.ts'

const LOOPBACK_PROXY = '127.0.0.1:5050'
const LOOPBACK_HEALTH = '127.0.0.1:5051'

const plaintextTtlMs = z
  .int()
  .min(1_000)
  .max(31 * 86_400_000)
  .optional()
  .describe(
    'How long a credential that was read stays in memory while the store cannot be read again. Pulls go on with it for as long; then they get 503. Absent: as long as the daemon runs.',
  )

const keychain = z.discriminatedUnion(
  'store',
  [
    z.strictObject({
      store: z
        .literal('os')
        .describe('The Secret Service of the session bus (gnome-keyring, KWallet, KeePassXC) by way of keytar.'),
      service: z.string().min(1).default('regcredd').describe('The service name under which items are kept.'),
      timeoutMs: milliseconds(2_000).describe(
        'How long one call to the keyring may take before its helper process is replaced.',
      ),
      plaintextTtlMs,
    }),
    z.strictObject({
      store: z.literal('file').describe('One encrypted file (AES-256-GCM).'),
      path: z.string().default('/var/lib/regcredd/keychain.json').describe('The encrypted file.'),
      keyFile: z
        .string()
        .optional()
        .describe(
          'A file of mode 0600 with 32 random bytes, base64; older keys may follow, one a line. Absent: the systemd credential `keychain-key`.',
        ),
      plaintextTtlMs,
    }),
    z.strictObject({
      store: z.literal('memory').describe('Nothing is kept beyond the life of the process. For trials.'),
    }),
  ],
  'must be "os", "file" or "memory"',
)

/** The configuration file as people write it; `load.ts` turns it into a `Config`. Every description is printed in docs/config.md. */
export const configFile = z.strictObject({
  $schema: z.string().optional().describe('For editors; not read.'),
  registries: z
    .array(registryEntry)
    .min(1)
    .describe('The registries that may be pulled from. What is not listed is refused.'),
  keychain: keychain.describe('Where credentials are kept. There is no default, and no store stands in for another.'),
  proxy: z
    .strictObject({
      listen: z.string().default(LOOPBACK_PROXY).describe('Address and port of the pull proxy; loopback only.'),
      callers: z
        .enum(CALLER_MODES)
        .default('token')
        .describe(
          '`token`: a pull must carry the caller token. `pull-secret`: a pull must carry the very credential that is lent to it, as the `imagePullSecrets` of its pod. `mtls`: the caller must show a client certificate that an authority of `proxy.tls.clientCaFile` has signed. `open`: whoever reaches the port may pull, every process and hostNetwork pod of the node.',
        ),
      callerTokenFile: z
        .string()
        .default('/var/lib/regcredd/caller-token')
        .describe('The caller token, mode 0600; made at the first start if it is missing.'),
      defaultRegistry: z
        .string()
        .default('docker.io')
        .describe(
          'The registry of requests without `ns` and without a path prefix (dockerd mirrors), if it is listed.',
        ),
      tls: proxyTls
        .optional()
        .describe('Makes the listener speak TLS, and nothing else. Absent: plain HTTP, on the loopback alone.'),
      drainTimeoutMs: milliseconds(30_000).describe('How long pulls under way may go on after SIGTERM.'),
      headersTimeoutMs: milliseconds(10_000).describe(
        'How long a caller may take for its request head, and for the TLS handshake.',
      ),
      maxConnections: z.int().min(1).max(65_535).default(4_096).describe('Connections of callers at one time.'),
    })
    .prefault({})
    .describe('The listener that image pulls come to.'),
  health: z
    .strictObject({
      listen: z.string().default(LOOPBACK_HEALTH).describe('Address and port of /healthz, /readyz and /metrics.'),
    })
    .prefault({})
    .describe('The listener for probes and metrics.'),
  admin: z
    .strictObject({
      socket: z.string().default('/run/regcredd/admin.sock').describe('Unix socket of the admin API.'),
      mode: z
        .string()
        .regex(/^0[0-7]{2}0$/, 'must be an octal mode that gives others nothing, such as "0660"')
        .default('0660')
        .describe('Mode of the socket, octal; others than its owner and group get nothing.'),
      group: z.string().optional().describe('Group of the socket. Absent: the group of the process.'),
      tokensFile: z
        .string()
        .default('/var/lib/regcredd/admin-tokens.json')
        .describe('Where the hashes of the tokens are kept that `regcredd token create` makes; mode 0600.'),
      tls: z
        .strictObject({
          listen: z
            .string()
            .describe(
              'Address and port, such as `10.0.0.7:5443`. Every request there needs a token, whatever the address.',
            ),
          certFile: z
            .string()
            .describe(
              'PEM file of the certificate with its chain. A new one is taken up within seconds, without a restart.',
            ),
          keyFile: z.string().describe('PEM file of its key; others may not read it.'),
          hosts: z
            .array(z.string())
            .min(1)
            .describe('The names and addresses by which callers reach it: what `Host` may say, without a port.'),
        })
        .optional()
        .describe('The same API for callers from elsewhere, such as CI jobs. Absent: the socket alone.'),
      kubernetesAuth: z
        .strictObject({
          audience: z
            .string()
            .regex(/^[\x21-\x7e]{1,253}$/, 'must be 1 to 253 printable ASCII characters')
            .describe(
              'What a token must have been made for (`kubectl create token --audience`); one of this daemon alone keeps what it was shown from being of use elsewhere.',
            ),
          timeoutMs: z.int().min(1).max(10_000).default(3_000).describe('For one question to the API server.'),
        })
        .optional()
        .describe(
          'Lets in by `admin.tls` whom the cluster of `kubernetes.kubeconfig` knows (TokenReview), to what RBAC allows (SubjectAccessReview). Absent: tokens of `regcredd token create` alone.',
        ),
    })
    .prefault({})
    .describe('The listener of the admin API and the command line.'),
  audit: z
    .strictObject({
      folder: z.string().default('/var/log/regcredd').describe('Folder of the audit file.'),
      whenFull: z
        .enum(['closed', 'open'])
        .default('closed')
        .describe(
          'Pulls while the audit file cannot be written. `closed`: refused. `open`: served, and the gap is recorded later. Admin acts are always refused.',
        ),
    })
    .prefault({})
    .describe('Where it is written down who pulled what.'),
  rotation: rotationSection
    .prefault({})
    .describe('Rotations of all registries; what is of one registry stands in its entry.'),
  kubernetes: kubernetes
    .optional()
    .describe('Mirroring into Secrets of type kubernetes.io/dockerconfigjson. Absent: no mirroring.'),
  egress: egressSection
    .optional()
    .describe('How the outside is reached. Absent: as HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment say.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('The least grave lines that are logged.'),
    })
    .prefault({})
    .describe('What is written to standard output.'),
})

export type ConfigFile = z.infer<typeof configFile>

import { z } from 'zod'
import { milliseconds } from './milliseconds.ts'
import { registryRotation } from './rotation-section.ts'

export const CALLER_MODES = ['token', 'pull-secret', 'mtls', 'open'] as const

/** One of `registries` in the configuration file. */
export const registryEntry = z.strictObject({
  host: z
    .string()
    .describe(
      'The registry as images name it, `host[:port]` or `host[:port]/path`. The longest match wins; a credential belongs to exactly one entry.',
    ),
  upstream: z
    .string()
    .optional()
    .describe(
      'Where requests go: `https://host[:port]`. Default: https:// and the host (docker.io: its API host). `http://` is allowed for loopback and private addresses only.',
    ),
  serverName: z
    .string()
    .optional()
    .describe('The name that the TLS certificate must carry, where it differs from the host of `upstream`.'),
  caFile: z
    .string()
    .optional()
    .describe(
      'PEM file of the authorities that this registry, its token server and its store are trusted by, beside the system ones.',
    ),
  clientCertFile: z
    .string()
    .optional()
    .describe(
      'PEM file of the certificate, with its chain, that the daemon shows to this registry itself, and to no other. It is read again when it is renewed.',
    ),
  clientKeyFile: z
    .string()
    .optional()
    .describe('PEM file of the private key of `clientCertFile`, unencrypted and unreadable to others.'),
  repositories: z
    .array(z.string())
    .optional()
    .describe(
      'Repositories that may be pulled: names where `*` stands for any text without a slash and `**` for any text. Absent: all.',
    ),
  realms: z
    .array(z.string())
    .default([])
    .describe(
      'Origins (`https://host[:port]`) of token servers that may get this credential, beside the registry itself and the pairs known for Docker Hub and GitLab.com. `http://` only where `upstream` is http:// too.',
    ),
  allowAddresses: z
    .array(z.string())
    .default([])
    .describe(
      'Address ranges (CIDR) in which token servers and redirect targets of this registry may lie although they are private, loopback or link-local.',
    ),
  credential: z
    .enum(['optional', 'required'])
    .default('optional')
    .describe(
      '`optional`: without a stored credential the registry is asked anonymously. `required`: such a pull is refused with CREDENTIAL_MISSING.',
    ),
  callers: z
    .enum(CALLER_MODES)
    .optional()
    .describe('Who may pull from this registry, where that is not `proxy.callers`.'),
  fallback: z
    .enum(['never', 'origin'])
    .default('never')
    .describe(
      'What the clients of this node are set up to do when the daemon is down, refuses, or cannot get the image. `never`: the pull fails. `origin`: they ask the registry themselves, with whatever credential they have. The daemon only shows the files for it (`regcredd clients show`).',
    ),
  redirects: z
    .enum(['follow', 'relay'])
    .default('follow')
    .describe(
      'Where the registry keeps its blobs elsewhere and redirects to them. `follow`: the daemon fetches them. `relay`: the client is sent there itself, where that is safe; docs/egress.md says when.',
    ),
  canary: z
    .string()
    .optional()
    .describe(
      'A repository that the credential must be able to read; it is asked for whenever a credential is verified.',
    ),
  rotation: registryRotation.prefault({}).describe('How its password is rotated.'),
  limits: z
    .strictObject({
      connectTimeoutMs: milliseconds(10_000).describe(
        'How long a connection to the registry may take to stand, TLS included.',
      ),
      answerTimeoutMs: milliseconds(30_000).describe(
        'How long the registry may take until its answer begins, and between two pieces of a body.',
      ),
      idleTimeoutMs: milliseconds(30_000).describe(
        'How long a connection that nobody uses is kept for the next request. Load balancers often end them after 60 s.',
      ),
      maxConnections: z.int().min(1).max(4096).default(64).describe('Connections to this registry at one time.'),
    })
    .prefault({})
    .describe('How much may be asked of this registry, and how long it may take.'),
})

import { createHash } from 'node:crypto'

/** Of a canonical Secret: one that kubelets and Pods have no use for. */
export const SECRET_TYPE = 'regcredd.io/credential'
/** Names the key of the credential, `host` or `host/path`; the name of the Secret holds only its hash in full. */
export const KEY_ANNOTATION = 'regcredd.io/registry'
export const PART_LABEL = 'app.kubernetes.io/component'
export const FIELD_MANAGER = 'regcredd-fleet'
/** On the Lease of a node. */
export const NODE_ANNOTATION = 'regcredd.io/node'
export const ADOPTED_ANNOTATION = 'regcredd.io/adopted'
export const MIRRORED_ANNOTATION = 'regcredd.io/mirrored'
/** The Lease of the one that writes into the namespaces of tenants. */
export const LEADER_LEASE = 'regcredd-mirror'

/**
 * Name of the Secret that holds the credential of `key`. Different keys have different names: the readable part is for people, the 128 bits of
 * SHA-256 after it tell them apart (`printf %s KEY | sha256sum | cut -c1-32`).
 */
export function secretNameOf(key: string): string {
  return `regcredd-${readable(key)}${hashOf(key)}`
}

/** Name of the Lease by which a node says that it is there. */
export function nodeLeaseNameOf(node: string): string {
  return `regcredd-node-${readable(node)}${hashOf(node)}`
}

function readable(text: string): string {
  const slug = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '')
  return slug === '' ? '' : `${slug}-`
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

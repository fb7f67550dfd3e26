import type { V1Secret } from '@kubernetes/client-node'
import { RegcreddError } from '../errors.ts'
import { type Entry, formatEntry, parseEntry, seqOf } from '../keychain/tombstone.ts'
import { OWNER, OWNER_LABEL } from '../mirror/ownership.ts'
import { Secret } from '../secret.ts'
import { KEY_ANNOTATION, PART_LABEL, SECRET_TYPE, secretNameOf } from './names.ts'

const FIELD = 'credential'
/** Ten rotations and three long passwords have room in a tenth of it; etcd takes 1.5 MiB. */
const MAX_BYTES = 256 * 1024
/** No fleet gets there by rotating; one that is told to be there could never rotate again. */
const MAX_SEQ = 2 ** 40
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The object as it is written. Throws INTERNAL for a credential that could not be read back. */
export function toCanonical(
  key: string,
  entry: Entry,
  namespace: string,
  base?: { uid: string; resourceVersion: string },
): V1Secret {
  const text = formatEntry(key, entry)
  const bytes = Buffer.from(text.reveal(), 'utf8')
  if (bytes.length > MAX_BYTES || seqOf(entry) > MAX_SEQ) {
    throw new RegcreddError('INTERNAL', `the credential of ${key} is too large for its canonical Secret`)
  }
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secretNameOf(key),
      namespace,
      ...base,
      labels: { [OWNER_LABEL]: OWNER, [PART_LABEL]: 'credential' },
      annotations: { [KEY_ANNOTATION]: key },
    },
    type: SECRET_TYPE,
    data: { [FIELD]: bytes.toString('base64') },
  }
}

/** What a canonical Secret says; where it is not as we write it, `garbled` says what is wrong, never what stands there. */
export function fromCanonical(key: string, { metadata, type, data }: V1Secret): { entry: Entry } | { garbled: string } {
  if (type !== SECRET_TYPE) return { garbled: `its type is not ${SECRET_TYPE}` }
  if (metadata?.labels?.[OWNER_LABEL] !== OWNER) return { garbled: `the label ${OWNER_LABEL} is not ${OWNER}` }
  if (metadata.annotations?.[KEY_ANNOTATION] !== key)
    return { garbled: `the annotation ${KEY_ANNOTATION} is not ${key}` }
  if (metadata.deletionTimestamp !== undefined) return { garbled: 'it is being deleted' }
  const fields = Object.keys(data ?? {})
  const encoded = data?.[FIELD]
  if (encoded === undefined || fields.length !== 1) return { garbled: `its data is not the field ${FIELD} alone` }
  if (encoded.length > Math.ceil(MAX_BYTES / 3) * 4) return { garbled: 'it is too large' }
  if (!BASE64.test(encoded)) return { garbled: 'its data is not base64' }
  const bytes = Buffer.from(encoded, 'base64')
  const text = bytes.toString('utf8')
  if (!Buffer.from(text).equals(bytes)) return { garbled: 'its data is not UTF-8' }
  try {
    const entry = parseEntry(key, new Secret(text))
    return seqOf(entry) > MAX_SEQ ? { garbled: 'its seq is no number that rotations come to' } : { entry }
  } catch (thrown) {
    if (!(thrown instanceof RegcreddError) || thrown.code !== 'KEYCHAIN_CORRUPT') throw thrown
    return { garbled: 'its content is no credential, or one that this version cannot read' }
  }
}

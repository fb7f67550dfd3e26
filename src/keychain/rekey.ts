import { sweepLeftovers } from '../replace-file.ts'
import { atFileSystem, fault } from './faults.ts'
import { openFileItems } from './file.ts'
import { findKey, firstKey, parseKeys, withNewKey, writeKeyFile } from './key-file.ts'
import { type Mark, noMark } from './mark.ts'

export type Rekeyed = {
  credentials: number
  /** Ids of the keys: they tell keys apart and give nothing away. */
  keyId: string
  formerKeyIds: string[]
  /** Whether it went on with the new key of an earlier run that was cut off. */
  resumed: boolean
}

/**
 * Encrypts the file store with a new key. At every moment the key file holds a key that opens the file: it gets the new key beside the
 * old one first, and loses the old one last. Run again after a crash, it goes on where that came.
 * Throws KEYCHAIN_UNAVAILABLE while a daemon has the file open, or when either file is missing or cannot be read or written;
 * KEYCHAIN_CORRUPT.
 */
export async function rekey(path: string, keyFile: string, mark: Mark = noMark): Promise<Rekeyed> {
  const before = await findKey(keyFile, {})
  // Opened to be written it would be encrypted with the first key at once.
  const usedKeyId = await (await openFileItems(path, before, { access: 'read' })).keyId()
  // Its disk may not be mounted; a new key would not open it when it is.
  if (usedKeyId === undefined) throw fault('disk', { path, done: 'read', errno: 'ENOENT' })
  const isResumed = usedKeyId !== parseKeys(before)[0].id
  const items = await openFileItems(path, before, { mark })
  try {
    await atFileSystem(keyFile, 'swept of leftovers', () => sweepLeftovers(keyFile))
    const { size } = await items.readAll()
    const both = isResumed ? before : withNewKey(before)
    if (!isResumed) await writeKeyFile(keyFile, both, mark)
    mark('rekey: both keys in the key file')
    await items.reseal(both)
    mark('rekey: encrypted with the new key')
    const alone = firstKey(both)
    const readBack = await (await openFileItems(path, alone, { access: 'read' })).readAll()
    if (readBack.size !== size) throw fault('damaged', { path })
    await writeKeyFile(keyFile, alone, mark)
    mark('rekey: only the new key in the key file')
    const [{ id: keyId }, ...former] = parseKeys(both)
    return { credentials: size, keyId, formerKeyIds: former.map(({ id }) => id), resumed: isResumed }
  } finally {
    await items.close()
  }
}

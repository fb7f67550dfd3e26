import { randomBytes } from 'node:crypto'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Puts `text` in the place of the file at `path`, mode 0600: after a crash or power cut at any time the old file or the new one
 * is there, whole. When the promise resolves, the new one is durable. Throws what the file system throws, and leaves no temporary file then.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    await writeDurably(temporary, text)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Makes a file of mode 0600 that must not exist yet (EEXIST), durable when the promise resolves, save for its folder's entry. */
async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes renamed and new entries of a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Removes what a `replaceFile` of an earlier process left beside `path` when it was killed. */
export async function sweepLeftovers(path: string): Promise<void> {
  const folder = dirname(path)
  const prefix = `${basename(path)}.`
  const leftovers = (await readdir(folder)).filter(
    (name) => name.startsWith(prefix) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(prefix.length)),
  )
  await Promise.all(leftovers.map((name) => rm(join(folder, name), { force: true })))
}

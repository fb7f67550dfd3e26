import { randomBytes } from 'node:crypto'
import { lchown, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf } from './errors.ts'

/**
 * Puts `text` in the place of the file at `path`, mode 0600: after a crash or power cut at any time the old file or the new one
 * is there, whole. When the promise resolves, the new one is durable. Throws what the file system throws, and leaves no temporary file then.
 * `mark` is called after each step.
 */
export async function replaceFile(
  path: string,
  text: string,
  mark: (point: string) => void = () => undefined,
): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    await writeDurably(temporary, text, await ownerToBe(path))
    mark('replace: written beside')
    await rename(temporary, path)
    mark('replace: renamed')
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
  mark('replace: durable')
}

type Owner = { uid: number; gid: number }

/**
 * What root writes in the place of the daemon's files must stay the daemon's; a new file is for the owner of its folder.
 * `undefined`: whoever writes it.
 */
async function ownerToBe(path: string): Promise<Owner | undefined> {
  if (process.geteuid?.() !== 0) return undefined
  const { uid, gid } = await stat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return stat(dirname(path))
    throw error
  })
  return { uid, gid }
}

/** Gives a file that root has made beside the one at `path` to the owner of that. A link in its place, which the daemon could have put there, is not followed. */
export async function keepOwner(made: string, path: string): Promise<void> {
  const owner = await ownerToBe(path)
  if (owner !== undefined) await lchown(made, owner.uid, owner.gid)
}

/** Makes a file of mode 0600 that must not exist yet (EEXIST), durable when the promise resolves, save for its folder's entry. */
async function writeDurably(path: string, text: string, owner: Owner | undefined): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    // Of the open file: by its name, the daemon's user could have root give him any other.
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid)
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

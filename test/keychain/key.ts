import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'

/** A key file as an operator makes it: 32 random bytes in base64, mode 0600. */
export async function makeKeyFile(path: string): Promise<void> {
  await writeFile(path, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A folder of mode 0700 that goes with the test. */
export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-keychain-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

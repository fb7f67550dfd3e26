import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { asInstalled, startedAs } from '../../bench/as-installed.ts'
import { startDaemon } from '../helpers/daemon.ts'

const root = join(import.meta.dirname, '../..')

test('the starter that the docs install is the one that the unit shows and the bench takes its flags from', async () => {
  const { nodeFlags, environment } = asInstalled()
  const install = await readFile(join(root, 'docs/install.md'), 'utf8')
  const started = /^exec \/usr\/lib\/regcredd\/node (.*) \/usr\/lib\/regcredd\/regcredd\.mjs "\$@"$/m.exec(install)?.[1]
  assert.equal(started, nodeFlags.join(' '))
  assert.deepEqual(environment, { MALLOC_ARENA_MAX: '2' })
})

test('a daemon that the bench starts runs with the flags and the environment of the unit', async (t) => {
  const installed = asInstalled()
  const daemon = await startDaemon({ registries: [{ host: 'r.example' }], ...startedAs(installed) })
  t.after(() => daemon.close())
  const [command, environment] = await Promise.all(
    ['cmdline', 'environ'].map(async (name) => (await readFile(`/proc/${daemon.pid}/${name}`, 'utf8')).split('\0')),
  )
  assert.deepEqual(command?.slice(1, installed.nodeFlags.length + 1), installed.nodeFlags)
  for (const [name, value] of Object.entries(installed.environment))
    assert.ok(environment?.includes(`${name}=${value}`))
})

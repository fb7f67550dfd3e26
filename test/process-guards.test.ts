import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { refuseDebugging } from '../src/process-guards.ts'

const src = JSON.stringify(join(import.meta.dirname, '../src'))

/** Runs `script` in a process of its own, with the guard and a logger at hand. */
function guarded(script: string) {
  const head = `
    const { createLogger } = await import(${src} + '/log.ts')
    const { endOnUncaught } = await import(${src} + '/process-guards.ts')
    using guard = endOnUncaught(createLogger({ level: 'info' }))
    setTimeout(() => process.exit(0), 20_000)
    const error = Object.assign(new Error('Bearer hunter2'), { headers: { authorization: 'Basic hunter2' } })
  `
  const args = ['--input-type=module', '--eval', head + script]
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
}

for (const [what, script] of [
  ['error', 'setImmediate(() => { throw error })'],
  ['rejection', 'void Promise.reject(error)'],
] as const) {
  test(`an ${what} that nothing caught ends the process with 70 and is logged without what it carries`, () => {
    const { status, stdout, stderr } = guarded(`${script}; await new Promise(() => undefined)`)
    assert.equal(status, 70, stderr)
    const line = JSON.parse(stdout)
    assert.deepEqual([line.level, line.err.name], ['error', 'Error'])
    assert.doesNotMatch(stdout + stderr, /hunter2/)
  })
}

test('NODE_OPTIONS is refused unless it is empty', (t) => {
  const before = process.listeners('SIGUSR1')
  t.after(() => {
    for (const added of process.listeners('SIGUSR1').filter((one) => !before.includes(one))) {
      process.off('SIGUSR1', added)
    }
  })
  refuseDebugging({})
  refuseDebugging({ NODE_OPTIONS: '' })
  assert.throws(() => refuseDebugging({ NODE_OPTIONS: '--inspect' }), { code: 'CONFIG_INVALID', message: /unset it/ })
})

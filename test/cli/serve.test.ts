import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { run, start } from './regcredd.ts'

const src = new URL('../../src/', import.meta.url).href

/** The command line with a daemon of the test's own making; main.ts hands in the real one. */
function withDaemon(body: string): string[] {
  const script = `
    import { runCli } from '${src}cli/run.ts'
    import { RegcreddError } from '${src}errors.ts'
    import { ConfigError } from '${src}config/problem.ts'
    process.exitCode = await runCli(process.argv.slice(1), async ({ configPath, signal }) => { ${body} })`
  return ['--input-type=module', '-e', script, '--']
}

test('serve hands the daemon the config file and a signal that SIGTERM aborts, and ends with 0', async () => {
  const node = withDaemon(`
    console.log(configPath)
    const alive = setInterval(() => {}, 1000)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    clearInterval(alive)
    console.log('drained')`)
  const child = start(['serve', '--config', '/some/config.json'], { node })
  let stdout = ''
  child.stdout?.on('data', (chunk) => {
    stdout += chunk
    if (stdout === '/some/config.json\n') child.kill('SIGTERM')
  })
  const [code] = await once(child, 'close')
  assert.deepEqual([code, stdout], [0, '/some/config.json\ndrained\n'])
})

test('a second SIGTERM ends a daemon that does not drain', async () => {
  const node = withDaemon(`
    setInterval(() => {}, 1000)
    signal.addEventListener('abort', () => console.log('draining'))
    console.log('up')
    await new Promise(() => {})`)
  const child = start(['serve'], { node })
  child.stdout?.on('data', () => child.kill('SIGTERM'))
  const [, signal] = await once(child, 'close')
  assert.equal(signal, 'SIGTERM')
})

for (const [what, thrown, expected] of [
  ['an invalid configuration', `new ConfigError('/c.json', [{ path: 'a.b', message: 'is missing' }])`, 78],
  ['a port that is taken', `new RegcreddError('LISTEN_FAILED', '127.0.0.1:5050')`, 1],
  ['an error of our own', `new TypeError('oops')`, 70],
] as const) {
  test(`serve with ${what} ends with ${expected}`, async () => {
    const { code, stderr } = await run(['serve'], { node: withDaemon(`throw ${thrown}`) })
    assert.equal(code, expected)
    assert.match(stderr, /a\.b: is missing|127\.0\.0\.1:5050|oops/)
  })
}

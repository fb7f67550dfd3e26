import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { connect, Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../src/errors.ts'
import { createLogger, type LogLevel } from '../src/log.ts'
import { Secret } from '../src/secret.ts'

const CANARY = 'cAn"ary\\pä$$ word/7'

/** The canary as it may come out: raw, in JSON, percent- and hex-coded, in base64 at each of the three offsets. */
function shapesOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset, 'x'), bytes]).toString('base64')
    return text.slice(offset === 0 ? 0 : 4, Math.floor(((offset + bytes.length) * 4) / 3) - 2)
  })
  const inJson = JSON.stringify(secret).slice(1, -1)
  return [
    secret,
    inJson,
    JSON.stringify(inJson).slice(1, -1),
    encodeURIComponent(secret),
    bytes.toString('hex'),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
}

function capture(level: LogLevel = 'debug') {
  const lines: string[] = []
  return { log: createLogger({ level, stream: { write: (line) => lines.push(line) } }), lines }
}

function written(fields: Record<string, unknown>, message = 'a message'): Record<string, unknown> {
  const { log, lines } = capture()
  log.info(fields, message)
  assert.equal(lines.length, 1)
  return JSON.parse(lines[0] ?? '')
}

function withParts<T extends object>(target: T, more: object): T {
  return Object.assign(target, more)
}

const basic = `Basic ${Buffer.from(`ci:${CANARY}`).toString('base64')}`
const percent = encodeURIComponent(CANARY)

class Foreign {
  readonly password = CANARY
  toJSON(): string {
    return CANARY
  }
}

function incoming(): IncomingMessage {
  const message = new IncomingMessage(new Socket())
  message.headers.authorization = basic
  message.url = `/v2/?password=${percent}`
  return message
}

function throwCanary(): never {
  throw new Error(CANARY)
}

function thrownBy(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

const plants: Record<string, unknown> = {
  'a Secret': new Secret(CANARY),
  'a Secret deep down': { a: [{ b: new Secret(CANARY) }] },
  'a header': { authorization: basic, 'Proxy-Authorization': basic, 'x-registry-auth': CANARY, 'Set-Cookie': [CANARY] },
  'names of secrets': {
    password: CANARY,
    client_secret: CANARY,
    accessToken: CANARY,
    auth: CANARY,
    nested: { passwd: CANARY },
  },
  'a secret that is an object': { password: { value: CANARY } },
  'headers and bodies': { headers: { x: CANARY }, rawHeaders: ['x', CANARY], body: CANARY, response: { x: CANARY } },
  'a text with a header': `sent Authorization: ${basic} and more`,
  'a text with a URL': `asked https://ci:${percent}@registry.corp.example/v2/ in vain`,
  'a text with a signed URL': `went to https://s3.example/blob?X-Signature=${percent}&y=1`,
  'a text with a query alone': `GET /token?service=a&password=${percent}`,
  'a query without a name': `https://s3.example/blob?${percent}`,
  'a token': `eyJhbGciOiJub25lIn0.${Buffer.from(CANARY).toString('base64url')}.`,
  'a pull secret': Buffer.from(JSON.stringify({ auths: { r: { password: CANARY } } })).toString('base64'),
  'an indented pull secret': Buffer.from(JSON.stringify({ auths: { r: { password: CANARY } } }, null, '\t')).toString(
    'base64',
  ),
  'a URL': new URL(`https://ci:${percent}@registry.corp.example/v2/?password=${percent}#${percent}`),
  'an error of somebody': withParts(new Error(`HTTP-Code: 401 Body: ${CANARY}`), {
    body: CANARY,
    headers: { a: CANARY },
  }),
  'an error whose message looks like a stack': new Error(`x\n    at ${CANARY} (/a.ts:1:1)\n    at b (/${CANARY}:1:1)`),
  'an error of JSON.parse': thrownBy(() => JSON.parse(`{"password": ${CANARY}`)),
  'an error named by somebody': withParts(new Error('x'), { name: CANARY, code: CANARY }),
  'an error as a cause': new RegcreddError('INTERNAL', undefined, { cause: new Error(CANARY, { cause: CANARY }) }),
  'an error that is no error': new RegcreddError('INTERNAL', undefined, { cause: { message: CANARY } }),
  'many errors': new AggregateError([new Error(CANARY), CANARY], CANARY),
  'a system error with a URL': withParts(new Error(`connect ECONNREFUSED https://ci:${percent}@r/`), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  }),
  'a request': incoming(),
  'a class of somebody': new Foreign(),
  'a Buffer': Buffer.from(CANARY),
  bytes: new Uint8Array(Buffer.from(CANARY)),
  'a Map': new Map([[CANARY, CANARY]]),
  'a Set': new Set([CANARY]),
  'a function': withParts(() => CANARY, { password: CANARY }),
  'a symbol': Symbol(CANARY),
  'a getter that throws': Object.defineProperty({}, 'x', { enumerable: true, get: throwCanary }),
  'a message of one more line that is a frame': new Error(`x\n    at hunter (/${CANARY.replace(/\W/g, '')}:1:1)`),
}

for (const [what, plant] of Object.entries(plants)) {
  test(`no shape of a password comes out of ${what}, wherever it stands in a line`, () => {
    const { log, lines } = capture()
    log.info({ what: plant }, 'as a field')
    log.error({ err: plant }, 'as an error')
    log.warn({ a: { b: [plant] } }, 'deep down')
    log.child({ bound: plant }).info({}, 'bound')
    if (typeof plant === 'object' && plant !== null) log.error(plant as Record<string, unknown>, 'as the fields')
    if (typeof plant === 'string') log.info({}, plant)
    const text = lines.join('')
    for (const line of lines) JSON.parse(line)
    for (const shape of [...shapesOf(CANARY), CANARY.replace(/\W/g, '')])
      assert.ok(!text.includes(shape), `${shape} in ${text}`)
  })
}

test('the search for the canary finds it in each shape', () => {
  const planted = [
    CANARY,
    JSON.stringify({ CANARY }),
    percent,
    Buffer.from(CANARY).toString('hex'),
    Buffer.from(`ci:${CANARY}`).toString('base64'),
    Buffer.from(`bot:${CANARY}`).toString('base64'),
    Buffer.from(`root:${CANARY}`).toString('base64'),
  ]
  for (const text of planted)
    assert.ok(
      shapesOf(CANARY).some((shape) => text.includes(shape)),
      text,
    )
})

test('a line has its level, time, message and fields, and nothing of the host', () => {
  const line = written({ registry: 'registry.corp.example', status: 200, complete: true, code: undefined }, 'pull')
  const { time, ...rest } = line
  assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  assert.deepEqual(rest, { level: 'info', registry: 'registry.corp.example', status: 200, complete: true, msg: 'pull' })
})

test('lines below the level are not written', () => {
  const { log, lines } = capture('warn')
  log.info({}, 'quiet')
  log.warn({}, 'loud')
  assert.equal(lines.length, 1)
})

test('an error of ours keeps its code and message, and its cause keeps what helps to find it', () => {
  const refused = withParts(new Error('connect ECONNREFUSED 127.0.0.1:5000'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  })
  const { err } = written({
    err: new RegcreddError('UPSTREAM_UNREACHABLE', 'registry.corp.example', { cause: refused }),
  })
  assert.deepEqual(err, {
    code: 'UPSTREAM_UNREACHABLE',
    message: 'the registry cannot be reached: registry.corp.example',
    cause: { name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:5000' },
  })
})

test("Node's own connection errors are told in full, both families of a refused address included", async () => {
  const socket = connect({ host: 'localhost', port: 1 })
  const error = await new Promise((resolve) => socket.once('error', resolve))
  assert.match(JSON.stringify(written({ err: error })), /connect ECONNREFUSED (?:127\.0\.0\.1|::1):1/)
})

test('a bug keeps the frames of its stack, without its message', () => {
  const { err } = written({ err: new TypeError('x is not a function') }) as { err: { name: string; stack: string[] } }
  assert.equal(err.name, 'TypeError')
  assert.match(err.stack[0] ?? '', /^at .*log\.test\.ts:\d+:\d+\)?$/)
  assert.doesNotMatch(JSON.stringify(err), /is not a function/)
})

test('names of files and objects that merely sound secret are printed', () => {
  const fields = {
    secretName: 'regcred',
    callerTokenFile: '/var/lib/regcredd/caller-token',
    credential: 'docker.io',
    version: 'v2',
  }
  const { level, time, msg, ...rest } = written(fields)
  assert.deepEqual(rest, fields)
})

test('image references and plain words pass through unharmed', () => {
  for (const text of [
    'registry.corp.example/team/app@sha256:abc',
    'docker://r/app@sha256:0f',
    'stored; what now?',
    'a = b',
  ]) {
    assert.equal(written({ text }, text)['text'], text)
  }
})

test('nothing that can be logged makes the logger throw or write more than one line', () => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  written(circular)
  fc.assert(
    fc.property(
      fc.object({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
      fc.string({ unit: 'binary' }),
      (fields, message) => {
        const { log, lines } = capture()
        log.info(fields as Record<string, unknown>, message)
        assert.equal(lines.join('').split('\n').length, 2)
      },
    ),
    { numRuns: 300 },
  )
})

test('the line written just before the process ends itself is on stdout', () => {
  const script = `import { createLogger } from './src/log.ts'
    createLogger({ level: 'info' }).info({}, 'last words'); process.exit(1)`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '..'),
  })
  assert.match(run.stdout.toString(), /last words/)
})

test('a log that nobody reads stalls nothing else', async () => {
  const log = JSON.stringify(import.meta.resolve('../src/log.ts'))
  const script = `
    const { createLogger } = await import(${log})
    const log = createLogger({ level: 'info' })
    for (let line = 0; line < 20_000; line++) log.info({ text: 'x'.repeat(200) }, 'line')
    setTimeout(() => process.stderr.write('the loop turns'), 50)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  try {
    const [said] = await once(child.stderr, 'data', { signal: AbortSignal.timeout(60_000) })
    assert.equal(String(said), 'the loop turns')
  } finally {
    child.kill('SIGKILL')
  }
})

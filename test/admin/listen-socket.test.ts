import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, lstat, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import supertest from 'supertest'
import { bindClosed } from '../../src/admin/bind-closed.ts'
import { listenAdmin as listen } from '../../src/admin/listen-socket.ts'
import { createDesk } from './kit.ts'

const { app } = createDesk()

/** Listens, and ends with the test, however that ends. */
async function listenAdmin(context: TestContext, ...how: Parameters<typeof listen>) {
  const listener = await listen(...how)
  context.after(() => listener.close(0))
  return listener
}

const plain = { mode: 0o660, group: undefined }

async function newSocket(context: TestContext, ...below: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-admin-'))
  context.after(() => rm(folder, { recursive: true }))
  return join(folder, ...below, 'admin.sock')
}

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

test('the API answers on the socket, which has the mode that was asked for and goes away at the end', async (context) => {
  const socket = await newSocket(context)
  const listener = await listenAdmin(context, app, { socket, ...plain })
  assert.equal(await modeOf(socket), 0o660)
  await supertest(`http+unix://${encodeURIComponent(socket)}`)
    .get('/v1/status')
    .set('Host', 'localhost')
    .expect(200)
  await listener.close()
  await assert.rejects(lstat(socket), { code: 'ENOENT' })
})

test('a missing folder is made with mode 0750, one that is there is left as it is', async (context) => {
  const socket = await newSocket(context, 'run', 'regcredd')
  await (await listenAdmin(context, app, { socket, ...plain })).close()
  assert.equal(await modeOf(join(socket, '..')), 0o750)
  await chmod(join(socket, '..'), 0o711)
  await (await listenAdmin(context, app, { socket, ...plain })).close()
  assert.equal(await modeOf(join(socket, '..')), 0o711)
})

test('a folder that is made lets the group through, whatever the umask', async (context) => {
  const socket = await newSocket(context, 'made')
  const before = process.umask(0o077)
  context.after(() => process.umask(before))
  await listenAdmin(context, app, { socket, ...plain })
  assert.equal(await modeOf(join(socket, '..')), 0o750)
})

test('a group that has the socket already is not given it: the sandbox of the unit allows no chown', async (context) => {
  // In a user namespace without mappings every chown fails, even one that changes nothing.
  const bare = ['--user', process.execPath]
  if (spawnSync('unshare', [...bare, '--version']).status !== 0) return context.skip('needs a user namespace')
  const socket = await newSocket(context)
  const module = JSON.stringify(join(import.meta.dirname, '../../src/admin/listen-socket.ts'))
  const where = JSON.stringify({ socket, mode: 0o660, group: '65534' })
  const script = `const { listenAdmin } = await import(${module}); await (await listenAdmin(() => {}, ${where})).close()`
  const { status, stderr } = spawnSync('unshare', [...bare, '--input-type=module', '--eval', script], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
})

test('until its mode is set the socket is its owner’s alone, whatever the umask, and the umask comes back', async (context) => {
  const socket = await newSocket(context)
  const before = process.umask(0)
  context.after(() => process.umask(before))
  const server = createServer()
  context.after(() => server.close())
  await bindClosed(server, socket)
  assert.equal(await modeOf(socket), 0o600)
  assert.equal(process.umask(), 0)
})

test('the group is set by name or number; an unknown one is an error that names it', async (context) => {
  if (process.getuid?.() !== 0) return context.skip('needs root to give a file to another group')
  const socket = await newSocket(context, 'made')
  const listener = await listenAdmin(context, app, { socket, mode: 0o660, group: '12' })
  assert.deepEqual([(await stat(socket)).gid, (await stat(join(socket, '..'))).gid], [12, 12])
  assert.equal(await modeOf(socket), 0o660)
  await listener.close()
  const byName = await listenAdmin(context, app, { socket, mode: 0o660, group: 'root' })
  assert.equal((await stat(socket)).gid, 0)
  await byName.close()
  await assert.rejects(listenAdmin(context, app, { socket, mode: 0o660, group: 'no-such-group' }), {
    code: 'LISTEN_FAILED',
    message: /no group no-such-group.*groupadd/,
  })
})

test('a socket that a killed daemon left is replaced', async (context) => {
  const socket = await newSocket(context)
  const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log('up'))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.ok((await lstat(socket)).isSocket())
  const listener = await listenAdmin(context, app, { socket, ...plain })
  await supertest(`http+unix://${encodeURIComponent(socket)}`)
    .get('/v1/status')
    .set('Host', 'localhost')
    .expect(200)
  await listener.close()
})

test('a socket that another daemon answers on is left to it', async (context) => {
  const socket = await newSocket(context)
  const first = await listenAdmin(context, app, { socket, ...plain })
  await assert.rejects(listenAdmin(context, app, { socket, ...plain }), {
    code: 'LISTEN_FAILED',
    message: /another daemon/,
  })
  await supertest(`http+unix://${encodeURIComponent(socket)}`)
    .get('/v1/status')
    .set('Host', 'localhost')
    .expect(200)
  await first.close()
})

test('a file that is no socket is left alone', async (context) => {
  const socket = await newSocket(context)
  await writeFile(socket, 'precious')
  await assert.rejects(listenAdmin(context, app, { socket, ...plain }), {
    code: 'LISTEN_FAILED',
    message: /is no socket/,
  })
  assert.equal((await stat(socket)).size, 8)
})

test('a path too long for a socket, and one where nothing can be made, are clear errors', async (context) => {
  const socket = await newSocket(context)
  const long = join(socket, '..', 'x'.repeat(120))
  await assert.rejects(listenAdmin(context, app, { socket: long, ...plain }), {
    code: 'LISTEN_FAILED',
    message: /107 bytes/,
  })
  await writeFile(socket, '')
  await assert.rejects(listenAdmin(context, app, { socket: join(socket, 'a'), ...plain }), {
    code: 'LISTEN_FAILED',
    message: /EEXIST|ENOTDIR/,
  })
})

/** Does it as a user without rights. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  process.setegid?.(65_534)
  process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
}

test('a socket of which we cannot know whether somebody answers is left alone', async (context) => {
  if (process.getuid?.() !== 0) return context.skip('needs root to become another user')
  const socket = await newSocket(context)
  await listenAdmin(context, app, { socket, mode: 0o600, group: undefined })
  await chown(join(socket, '..'), 65_534, 65_534)
  await asNobody(async () => {
    const refused = listenAdmin(context, app, { socket, ...plain })
    await assert.rejects(refused, { code: 'LISTEN_FAILED', message: /EACCES/ })
  })
  assert.ok((await lstat(socket)).isSocket())
})

test('when the group cannot be set, no socket is left behind with the wrong one', async (context) => {
  if (process.getuid?.() !== 0) return context.skip('needs root to become another user')
  const socket = await newSocket(context)
  const folder = join(socket, '..')
  await chown(folder, 65_534, 65_534)
  await asNobody(async () => {
    const failed = listenAdmin(context, app, { socket, mode: 0o660, group: '12' })
    await assert.rejects(failed, { code: 'LISTEN_FAILED', message: /EPERM/ })
  })
  assert.deepEqual(await readdir(folder), [])
})

test('close lets a request under way end and does not wait for idle connections', async (context) => {
  const socket = await newSocket(context)
  const arrived = Promise.withResolvers<() => void>()
  const slow = createServer((_request, response) => arrived.resolve(() => response.end('done')))
  const listener = await listenAdmin(context, (one, two) => slow.emit('request', one, two), { socket, ...plain })
  const asked = request({ socketPath: socket, path: '/', agent: new Agent({ keepAlive: true }) }).end()
  const answered = once(asked, 'response')
  const answer = await arrived.promise
  const startedMs = performance.now()
  const closed = listener.close()
  answer()
  const [response] = await answered
  assert.equal(response.resume().statusCode, 200)
  await closed
  assert.ok(performance.now() - startedMs < 4_000, 'it waited for an idle connection')
})

test('close ends a request that does not end by itself', async (context) => {
  const socket = await newSocket(context)
  const arrived = Promise.withResolvers<void>()
  const listener = await listenAdmin(context, () => arrived.resolve(), { socket, ...plain })
  const asked = request({ socketPath: socket, path: '/' }).end()
  const failed = assert.rejects(once(asked, 'response'), { code: 'ECONNRESET' })
  await arrived.promise
  await listener.close(100)
  await failed
})

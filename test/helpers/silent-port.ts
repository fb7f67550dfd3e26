import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

const LISTENER = `require('node:net').createServer().listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => {
  process.stdout.write('ready')
})`

/** Makes of a port of `host` one where whoever connects waits for ever, as behind a firewall that drops: its program is stopped and its queue is full. */
export async function startSilentPort(host: string, port: number): Promise<{ close: () => Promise<void> }> {
  const child = spawn(process.execPath, ['-e', LISTENER, host, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'close')
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => {
      throw new Error(`nothing can listen on ${host}`)
    }),
  ])
  child.kill('SIGSTOP')
  const waiting: Socket[] = []
  const close = async () => {
    for (const socket of waiting) socket.destroy()
    child.kill('SIGKILL')
    await ended
  }
  for (let place = 0; place < 64; place++) {
    const socket = connect(port, host)
    socket.on('error', () => undefined)
    waiting.push(socket)
    await Promise.race([once(socket, 'connect'), sleep(300)])
    // Where this process itself was late, the timer comes before the connection that was there long ago.
    await nextTurn()
    if (socket.connecting) return { close }
  }
  await close()
  throw new Error('its queue does not fill')
}

// Asks a kept demo: node ask.ts SOCKET ACT, with standard input for what the act takes (its last line break does not count).
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

const [socketPath = '', act = ''] = process.argv.slice(2)
const sent = act === 'set-registry-password' ? (await text(process.stdin)).replace(/\r?\n$/, '') : ''
const answer = await new Promise<IncomingMessage | undefined>((resolve) => {
  const request = httpRequest({ socketPath, path: `/${act}`, method: 'POST' }, resolve)
  request.on('error', () => resolve(undefined))
  request.end(sent)
})
if (answer === undefined) {
  process.stderr.write('this demo is not running any more\n')
  process.exitCode = 69
} else {
  const isDone = answer.statusCode === 200
  ;(isDone ? process.stdout : process.stderr).write(await text(answer))
  process.exitCode = isDone ? 0 : 1
}

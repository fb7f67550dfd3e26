// The least that a daemon on Node can be: it listens and answers. Start-up time and memory are compared with this.
import { createServer } from 'node:http'

const server = createServer((_request, response) => response.end('ok'))
server.listen(0, '127.0.0.1', () => process.stdout.write(`{"health":${server.address().port},"msg":"ready"}\n`))

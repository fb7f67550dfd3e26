import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ServerProcess, startServer } from '../test/helpers/server-process.ts'
import { needTool } from '../test/helpers/tools.ts'

/** `pid` is that of the one worker. */
export type Nginx = { pid: number; stop: () => Promise<void> }

/** Starts nginx with one worker and these `server` blocks, in a folder of its own. */
export async function startNginx(folder: string, httpBlock: string): Promise<Nginx> {
  await mkdir(folder, { recursive: true })
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  )
  const config = `
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log stderr notice;
events { worker_connections 4096; }
http {
  ${paths.join(' ')}
  access_log ${folder}/access.log; default_type application/octet-stream;
  sendfile on; keepalive_requests 1000000000;
  ${httpBlock}
}`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config, { mode: 0o600 })
  const server: ServerProcess = await startServer({
    tool: needTool('nginx'),
    args: ['-p', folder, '-c', file],
    ready: /start worker process (\d+)/,
  })
  return { pid: Number(server.ready[1]), stop: server.stop }
}

/** As one would put it before a registry by hand: a fixed Authorization, TLS verified, connections kept, blobs never spooled to disk. */
export function proxyServer(options: {
  port: number
  upstreamPort: number
  authorization: string
  caFile: string
}): string {
  const { port, upstreamPort, authorization, caFile } = options
  return `
  upstream registry_${port} { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass https://registry_${port};
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
      proxy_set_header Authorization "${authorization}";
      proxy_ssl_verify on; proxy_ssl_trusted_certificate ${caFile}; proxy_ssl_name localhost; proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
      proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_max_temp_file_size 0;
    }
  }`
}

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Login } from '../test/helpers/docker-registry.ts'
import { freePort } from '../test/helpers/free-port.ts'
import { type Certificate, makeServerCertificate } from '../test/helpers/tls.ts'
import { startNginx } from './nginx.ts'

export type LightRegistry = { port: number; stop: () => Promise<void> }

/**
 * A registry that costs next to nothing: nginx, with the password in the clear in its list and each path's content in a file.
 * `save` writes the content of a path into a file.
 */
export async function startLightRegistry(
  folder: string,
  login: Login,
  ca: Certificate,
  paths: string[],
  save: (path: string, file: string) => Promise<void>,
): Promise<LightRegistry> {
  for (const path of paths) {
    const file = join(folder, path)
    await mkdir(join(file, '..'), { recursive: true })
    await save(path, file)
  }
  await writeFile(join(folder, 'ping'), '{}')
  await writeFile(join(folder, 'passwords'), `${login.username}:{PLAIN}${login.password}\n`, { mode: 0o600 })
  const { certFile, keyFile } = await makeServerCertificate(ca, folder, ['localhost', '127.0.0.1'])
  const port = await freePort()
  const nginx = await startNginx(
    folder,
    `
  auth_basic light; auth_basic_user_file ${folder}/passwords; open_file_cache max=16; root ${folder};
  server {
    listen 127.0.0.1:${port} ssl; ssl_protocols TLSv1.3;
    ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
    location = /v2/ { try_files /ping =404; }
    location ~ /manifests/ { types { } default_type application/vnd.oci.image.manifest.v1+json; }
  }`,
  )
  return { port, stop: nginx.stop }
}

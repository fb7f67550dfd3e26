import { join } from 'node:path'
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export type CriImage = { id: string; repoTags: string[]; repoDigests: string[]; size: string }

/** A pod's pull secret, as the kubelet hands it on: without a server address. */
export type PullSecret = { username: string; password: string }

/** What the kubelet asks of a container runtime, as far as images go. */
export type Cri = {
  version: () => Promise<{ runtimeName: string; runtimeVersion: string }>
  /** Pulls as the kubelet does. `imageRef` is the image's id (its config's digest); rejects with the runtime's own words. */
  pullImage: (ref: string, secret?: PullSecret) => Promise<{ imageRef: string }>
  listImages: () => Promise<CriImage[]>
  /** undefined where the runtime has no such image. */
  imageStatus: (ref: string) => Promise<CriImage | undefined>
  removeImage: (ref: string) => Promise<void>
  close: () => void
}

type Call<Answer> = (
  request: object,
  options: object,
  done: (error: ServiceError | null, answer: Answer) => void,
) => void
type Client = Record<string, Call<unknown>> & { close: () => void }
type Service = new (address: string, channelCredentials: object) => Client

const pullWithinMs = 240_000

/** A client of the CRI on a runtime's unix socket. */
export function connectCri(socketPath: string): Cri {
  const definition = loadSync(join(import.meta.dirname, 'cri.proto'), { longs: String, defaults: true })
  const { runtime } = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: { ImageService: Service; RuntimeService: Service } }
  }
  const images = new runtime.v1.ImageService(`unix://${socketPath}`, credentials.createInsecure())
  const runtimes = new runtime.v1.RuntimeService(`unix://${socketPath}`, credentials.createInsecure())
  return {
    version: () => call(runtimes, 'version', {}),
    pullImage: (ref, secret) => call(images, 'pullImage', { image: { image: ref }, ...(secret && { auth: secret }) }),
    listImages: async () => (await call<{ images: CriImage[] }>(images, 'listImages', {})).images,
    imageStatus: async (ref) => {
      const { image } = await call<{ image: CriImage | null }>(images, 'imageStatus', { image: { image: ref } })
      return image ?? undefined
    },
    removeImage: async (ref) => {
      await call(images, 'removeImage', { image: { image: ref } })
    },
    close: () => {
      images.close()
      runtimes.close()
    },
  }
}

function call<Answer>(client: Client, method: string, request: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer: unknown) => (error ? reject(error) : resolve(answer as Answer))
    const rpc = client[method]
    if (rpc === undefined) throw new Error(`cri.proto has no ${method}`)
    rpc.call(client, request, { deadline: Date.now() + pullWithinMs }, done)
  })
}

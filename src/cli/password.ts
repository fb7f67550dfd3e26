import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'

const MAX_PASSWORD_BYTES = 32 * 1024

/**
 * The password from stdin, up to its end and without the last line break; from a terminal by a prompt that shows nothing.
 * Throws USAGE where there is neither, or what comes is empty, too long or no text.
 */
export async function readPassword(options: { passwordStdin?: true }, prompt: string): Promise<Secret> {
  if (process.stdin.isTTY) return checked(await promptHidden(process.stdin, prompt))
  if (options.passwordStdin !== true) throw usage('give the password on stdin with --password-stdin')
  return checked(await readAll(process.stdin))
}

async function readAll(stdin: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > MAX_PASSWORD_BYTES) throw usage('the password on stdin is longer than 32 KiB')
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)).replace(/\r?\n$/, '')
  } catch {
    throw usage('the password on stdin is not UTF-8')
  }
}

/** Raw mode, so that the terminal does not echo; what the line discipline did is then ours to do. */
function promptHidden(stdin: NodeJS.ReadStream, prompt: string): Promise<string> {
  // Before the prompt: who types at once would be echoed.
  stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  process.stderr.write(prompt)
  return new Promise((resolve, reject) => {
    let typed: string[] = []
    const finish = (settle: () => void) => {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
      process.stderr.write('\n')
      settle()
    }
    const onData = (text: string) => {
      for (const character of text) {
        if (character === '\r' || character === '\n') return finish(() => resolve(typed.join('')))
        if (character === '\u0003' || character === '\u0004')
          return finish(() => reject(usage('no password was given')))
        if (character === '\u007f' || character === '\b') typed.pop()
        else if (character === '\u0015') typed = []
        else typed.push(character)
      }
    }
    stdin.on('data', onData)
    stdin.resume()
  })
}

function checked(password: string): Secret {
  if (password === '') throw usage('the password is empty')
  return new Secret(password)
}

function usage(detail: string): RegcreddError {
  return new RegcreddError('USAGE', detail)
}

import type { Break } from '../break.ts'

export const breaks: Break[] = [
  {
    name: 'cli: no password in argv',
    file: 'src/cli/run.ts',
    line: 'refusePasswords(argv)',
    instead: '',
    testFile: 'test/cli/credentials.test.ts',
    test: 'login with -pVALUE is refused with words and 64, and asks nobody',
  },
  {
    name: 'cli: an aborted rotation is a failure',
    file: 'src/cli/rotation-progress.ts',
    line: "if (state === 'ABORTED') return exitCodes.refused",
    instead: '',
    testFile: 'test/cli/rotations.test.ts',
    test: 'an aborted rotation ends with 1 and says that the old password stays',
  },
  {
    name: 'cli: no token unasked',
    file: 'src/cli/clients.ts',
    line: 'const files = options.showToken ? await withTokens(plan.files, proxy.callerTokenFile) : plan.files',
    instead: 'const files = await withTokens(plan.files, proxy.callerTokenFile)',
    testFile: 'test/install/clients-show.test.ts',
    test: 'prints files, paths and fail-over without a daemon, and the token only on demand',
  },
  {
    name: 'cli: each state is told as it comes',
    file: 'src/cli/admin-client.ts',
    line: 'for (const line of lines) if (line.startsWith(DATA)) onValue(parse(line.slice(DATA.length)))',
    instead: '',
    testFile: 'test/cli/rotations.test.ts',
    test: 'each state is told as the stream of the daemon tells it; one that breaks off is asked for again',
  },
  {
    name: 'cli: where too many follow',
    file: 'src/cli/rotation-progress.ts',
    line: 'onNews(await getRotation(context.ask, id))',
    instead: 'throw thrown',
    testFile: 'test/cli/rotations.test.ts',
    test: 'where too many follow, the state is asked for',
  },
]

/** The server's own log: one JSON object a line on stderr. Never bodies, tokens, secrets or names of people. */
export type Level = 'error' | 'warn' | 'info' | 'debug';

const ORDER: Level[] = ['error', 'warn', 'info', 'debug'];

export class Log {
  constructor(private readonly level: Level = 'info') {}

  error(message: string, fields?: Record<string, unknown>): void {
    this.write('error', message, fields);
  }

  warn(message: string, fields?: Record<string, unknown>): void {
    this.write('warn', message, fields);
  }

  info(message: string, fields?: Record<string, unknown>): void {
    this.write('info', message, fields);
  }

  debug(message: string, fields?: Record<string, unknown>): void {
    this.write('debug', message, fields);
  }

  private write(level: Level, message: string, fields?: Record<string, unknown>): void {
    if (ORDER.indexOf(level) <= ORDER.indexOf(this.level)) {
      process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
    }
  }
}

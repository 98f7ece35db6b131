/** Why a bot could not do what it was asked; part of every bot's contract. */
export type ErrorCode =
  | 'INVALID_INPUT'
  | 'PATIENT_NOT_FOUND'
  | 'UNAUTHORIZED'
  | 'LLM_ERROR'
  | 'LLM_ROUTER_ERROR'
  | 'LLM_INVALID_OUTPUT'
  | 'EMBEDDING_ERROR'
  | 'DIMENSION_MISMATCH'
  | 'SAFETY_BLOCKED'
  | 'TIMEOUT'
  | 'DB_ERROR'
  | 'AUDIT_UNAVAILABLE'
  | 'NOT_CONFIGURED'
  | 'PHI_ROUTE_BLOCKED';

/** What a caller of `$execute` is given when a bot fails. */
export interface FailureOutput {
  success: false;
  errorCode: ErrorCode;
  message: string;
  details?: Record<string, unknown>;
}

/**
 * A failure that a bot foresees.
 *
 * The message reaches callers, the server's log and AuditEvents: it names fields, ids, hosts and counts,
 * never a record's text, a query, or anything that a model or a database answered.
 */
export class BotFailure extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: ErrorCode, message: string, details?: Record<string, unknown>) {
    super(message);
    this.name = code;
    this.code = code;
    this.details = details;
  }

  output(): FailureOutput {
    return {
      success: false,
      errorCode: this.code,
      message: this.message,
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }
}

/**
 * Any thrown value as a BotFailure.
 *
 * An unforeseen error keeps its name only: its message may quote what it choked on.
 * @param fallback - The code of an unforeseen error.
 */
export function asFailure(error: unknown, fallback: ErrorCode): BotFailure {
  if (error instanceof BotFailure) {
    return error;
  }
  return new BotFailure(fallback, `Unexpected ${errorName(error)}`);
}

/**
 * The name of a thrown value, such as `TypeError`.
 *
 * Errors of pg, fetch and MedplumClient are made outside the bot's context: `instanceof Error` is false for them.
 */
export function errorName(error: unknown): string {
  const name = (error as { name?: unknown } | null | undefined)?.name;
  return typeof name === 'string' && /^\w{1,60}$/.test(name) ? name : 'error';
}

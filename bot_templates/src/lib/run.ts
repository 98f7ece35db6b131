import { randomUUID } from 'node:crypto';
import type { BotEvent, MedplumClient } from '@medplum/core';
import { type AuditType, writeAudit } from './audit.ts';
import { asFailure, type BotFailure, type ErrorCode, type FailureOutput } from './failure.ts';
import { type BotInput, parseInput } from './input.ts';
import { Secrets } from './secrets.ts';

/** Who a bot is. */
export interface BotIdentity {
  /** The manifest's key. */
  key: string;
  /** The guide's name. */
  name: string;
  /** The code of a failure that nobody foresaw. */
  unforeseen: ErrorCode;
  /** As what its failures are audited. */
  failureAudit: AuditType;
}

/** One run of a bot, and what it may use. */
export class BotRun {
  readonly bot: BotIdentity;
  readonly medplum: MedplumClient;
  readonly event: BotEvent<unknown>;
  readonly secrets: Secrets;
  readonly requestId: string = randomUUID();
  /** URI of every identifier and code that medbots itself coins. */
  readonly namespace: string;
  /** `Type/id` of what is worked on, for the audit of a failure. */
  resource: string | undefined;
  /** The patient concerned, for the audit of a failure. */
  patientId: string | undefined;

  constructor(bot: BotIdentity, medplum: MedplumClient, event: BotEvent<unknown>) {
    this.bot = bot;
    this.medplum = medplum;
    this.event = event;
    this.secrets = new Secrets(event.secrets);
    this.namespace = this.secrets.optional('MEDBOTS_NAMESPACE') ?? 'urn:medbots';
  }

  /** Writes to the server's log, which is patient data once a record's text is in it: ids and counts only. */
  log(line: string): void {
    console.log(line);
  }

  /** A header of the call, its name in lower case; undefined also where there was no call. */
  header(name: string): string | undefined {
    const headers = (this.event as { headers?: Record<string, unknown> }).headers ?? {};
    const value = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
    return typeof value === 'string' ? value : undefined;
  }

  /** Whether a subscription runs the bot. An HTTP call has a host, and a caller cannot take it away. */
  bySubscription(input: BotInput | undefined): boolean {
    return input !== undefined && input.kind !== 'command' && this.header('host') === undefined;
  }
}

/** What a bot returns when it did what it was asked. */
export type SuccessOutput = { success: true } & Record<string, unknown>;

/**
 * Runs a bot under the common contract.
 *
 * On `$execute` a failure is returned; on a subscription it is thrown, so that the server records it. Failures are
 * audited, except a mere mistake in the input of `$execute`.
 */
export async function runBot(
  bot: BotIdentity,
  medplum: MedplumClient,
  event: BotEvent<unknown>,
  work: (run: BotRun, input: BotInput) => Promise<Record<string, unknown>>
): Promise<SuccessOutput | FailureOutput> {
  const run = new BotRun(bot, medplum, event);
  let input: BotInput | undefined;
  try {
    input = parseInput(event.input);
    return { success: true, ...(await work(run, input)) };
  } catch (error) {
    const failure = asFailure(error, bot.unforeseen);
    run.log(`${failure.code} ${run.requestId}`);
    const thrown = run.bySubscription(input);
    if (thrown || failure.code !== 'INVALID_INPUT') {
      await writeAudit(run, failureRecord(run, failure));
    }
    if (thrown) {
      throw failure;
    }
    return failure.output();
  }
}

/** Codes for which whoever called is to blame, and nothing is broken. */
const MINOR: readonly ErrorCode[] = ['INVALID_INPUT', 'PATIENT_NOT_FOUND', 'UNAUTHORIZED', 'SAFETY_BLOCKED'];

function failureRecord(run: BotRun, failure: BotFailure) {
  return {
    type: run.bot.failureAudit,
    action: 'E' as const,
    outcome: MINOR.includes(failure.code) ? ('4' as const) : ('8' as const),
    outcomeDesc: `${failure.code}: ${failure.message}`,
    patientId: run.patientId,
    resource: run.resource,
  };
}

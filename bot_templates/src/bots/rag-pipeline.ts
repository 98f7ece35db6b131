/**
 * RAG Pipeline Bot: answers a question about one patient from that patient's record, as the user who asks.
 *
 * `$execute {question, patientId, maxContextChunks?, includeCitations?, questionType?, temperature?, maxTokens?}`
 *
 * The model sees what the user may read and nothing else, and of its answer only stays what its sources bear out.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { BotFailure, type ErrorCode, type FailureOutput } from '../lib/failure.ts';
import { sha256 } from '../lib/hash.ts';
import { disarm, REMOVED } from '../lib/model/injection.ts';
import { readPatient } from '../lib/patient.ts';
import { answerFrom, confidenceOf, type GroundedAnswer } from '../lib/rag/answer.ts';
import { citationsOf } from '../lib/rag/citations.ts';
import { type Context, gatherContext } from '../lib/rag/context.ts';
import { type RagQuestion, readQuestion } from '../lib/rag/question.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput, type WorkOutput } from '../lib/run.ts';

const BOT = {
  key: 'rag-pipeline',
  name: 'RAG Pipeline Bot',
  runsAsUser: true,
  unforeseen: 'LLM_ERROR',
  failureAudit: 'rag_query',
  model: CLINICAL_MODEL,
} as const;

/** Why there is no answer. */
type Refusal = 'NO_CONTEXT' | 'NO_QUESTION' | 'NOT_DOCUMENTED' | 'NOT_SUPPORTED';

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    const started = Date.now();
    const question = readQuestion(input);
    requireUser(run);
    // Before anything else is read or sent: whose record it is, and whether the user may see it.
    await readPatient(run, question.patientId, 'DB_ERROR');
    const context = await gatherContext(run, question);
    const retrieved = Date.now();
    const timings = () => ({
      retrievalMs: retrieved - started,
      modelMs: Date.now() - retrieved,
      totalMs: Date.now() - started,
    });

    const asked = disarm(question.question);
    const warnings = [...context.warnings, ...(asked.removed > 0 ? ['INSTRUCTIONS_IN_QUESTION'] : [])];
    const withoutModel = reasonNotToAsk(context, asked.text);
    if (withoutModel !== undefined) {
      noteQuery(run, question, context, { refused: withoutModel });
      return { ...refused(withoutModel), ...shared(context, undefined, timings(), warnings) };
    }

    let answer: GroundedAnswer;
    try {
      answer = await answerFrom(run, question, context);
    } catch (error) {
      if (!(error instanceof BotFailure && MODEL_FAILURES.includes(error.code))) {
        throw error;
      }
      noteQuery(run, question, context, { failure: error });
      // What was found is the user's to read; what a model would have made of it is not known.
      return { ...error.output(), ...shared(context, undefined, timings(), warnings) };
    }
    const all = [...new Set([...warnings, ...answer.warnings])];
    if (answer.kept.length === 0) {
      const refusal = answer.answerable && answer.given > 0 ? 'NOT_SUPPORTED' : 'NOT_DOCUMENTED';
      noteQuery(run, question, context, { answer, refused: refusal });
      return { ...refused(refusal), ...shared(context, answer, timings(), all) };
    }
    const confidence = hundredths(confidenceOf(answer, (id) => context.passages.get(id)?.similarity ?? 0));
    noteQuery(run, question, context, { answer, confidence });
    return {
      answer: inProse(answer),
      refused: false,
      confidence,
      confidenceCalibrated: false,
      ...(question.includeCitations ? { citations: citationsOf(answer.kept, context.passages) } : {}),
      ...shared(context, answer, timings(), all),
    };
  });
}

/** Failures of the model after which the context is still shown. */
const MODEL_FAILURES: readonly ErrorCode[] = ['LLM_ERROR', 'LLM_INVALID_OUTPUT', 'LLM_ROUTER_ERROR'];

/** Rights are a user's: without one, the bot would read with its own. */
function requireUser(run: BotRun): void {
  if (run.requester === undefined) {
    throw new BotFailure('UNAUTHORIZED', 'Nobody is attested as having asked');
  }
}

function reasonNotToAsk({ sources }: Context, question: string): Refusal | undefined {
  if (sources.all.length === 0) {
    return 'NO_CONTEXT';
  }
  // A question that was all orders to a model leaves nothing to answer.
  return question.replaceAll(REMOVED, '').trim() === '' ? 'NO_QUESTION' : undefined;
}

function refused(reason: Refusal): WorkOutput {
  return { answer: null, refused: true, refusalReason: reason, confidence: 0, confidenceCalibrated: false };
}

/** What every outcome tells. */
function shared(
  { asked, passages, filtered }: Context,
  answer: GroundedAnswer | undefined,
  timings: Record<string, number>,
  warnings: readonly string[]
): WorkOutput {
  return {
    questionType: asked.type,
    contextUsed: [...passages].map(([id, { kind, reference, date, title, similarity, basis, series }]) => ({
      id,
      kind,
      reference,
      ...(series === undefined ? {} : { references: [...new Set(series.points.map((point) => point.reference))] }),
      date: date ?? null,
      title,
      similarity: hundredths(similarity),
      basis,
    })),
    filteredCount: filtered,
    modelUsed: answer?.model ?? null,
    tokensUsed: answer?.tokensUsed ?? { prompt: 0, completion: 0, total: 0 },
    timings,
    warnings,
  };
}

/** The sentences as one text; one that a model left without its end gets a full stop. */
function inProse({ kept }: GroundedAnswer): string {
  return kept.map(({ text }) => (/[.!?:;。！？…]["')\]]?$/.test(text) ? text : `${text}.`)).join(' ');
}

/** The question and the answer are patient data: hashes, lengths and counts stand for them. */
function noteQuery(
  run: BotRun,
  { question }: RagQuestion,
  context: Context,
  outcome: { answer?: GroundedAnswer; refused?: Refusal; confidence?: number; failure?: BotFailure }
): void {
  const { answer, refused: refusal, confidence, failure } = outcome;
  const text = answer && inProse(answer);
  run.audit.note({
    type: 'rag_query',
    action: 'E',
    outcome: failure ? '8' : context.retrievalFailure ? '4' : '0',
    outcomeDesc: failure ? `${failure.code}: ${failure.message}` : undefined,
    patientId: run.patientId,
    confidence,
    detail: {
      'question-sha256': sha256(question),
      'question-length': question.length,
      'question-type': context.asked.type,
      sources: context.sources.all.length,
      filtered: context.filtered,
      'instructions-removed': context.sources.disarmed,
      ...(context.retrievalFailure ? { retrieval: context.retrievalFailure } : {}),
      ...(refusal ? { refused: refusal } : {}),
      ...(text ? { 'answer-sha256': sha256(text), 'answer-length': text.length } : {}),
      ...(answer ? { sentences: answer.given, 'sentences-kept': answer.kept.length } : {}),
    },
  });
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

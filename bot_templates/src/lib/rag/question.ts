import { BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import type { BotInput } from '../input.ts';

/** What a question can be about; without it, the question's own words decide. */
export const QUESTION_TYPES = ['general', 'trend', 'lab', 'medication', 'history'] as const;
export type QuestionType = (typeof QUESTION_TYPES)[number];

/** A question over one patient's record. */
export interface RagQuestion {
  question: string;
  patientId: string;
  /** Retrieved passages, beside the facts of the chart. */
  maxContextChunks: number;
  includeCitations: boolean;
  questionType: QuestionType | undefined;
  temperature: number | undefined;
  /** Of the answer. */
  maxTokens: number | undefined;
}

/** @throws BotFailure INVALID_INPUT */
export function readQuestion(input: BotInput): RagQuestion {
  if (input.kind !== 'command') {
    throw new BotFailure('INVALID_INPUT', 'The input must be a question, not a resource');
  }
  const fields = new Fields(input.fields);
  const question: RagQuestion = {
    question: fields.present('question', fields.text('question', 2_000)),
    patientId: fields.present('patientId', fields.id('patientId', 'Patient')),
    maxContextChunks: fields.integer('maxContextChunks', 1, 20) ?? 5,
    includeCitations: fields.boolean('includeCitations') ?? true,
    questionType: fields.oneOf('questionType', QUESTION_TYPES),
    temperature: fields.number('temperature', 0, 0.3),
    maxTokens: fields.integer('maxTokens', 50, 4_000),
  };
  fields.done();
  return question;
}

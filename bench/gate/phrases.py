"""Phrases for bad answers: those that the gate is made from, and others, by the same hand but apart, that measure it.

The second lists were written before the checks were. After a first measurement the refusals' patterns and the first
lists were widened, by what heads missed of the first lists; which of the second were missed was not looked at.
"""

__all__ = ["ECHOES", "FILLERS", "JUNK", "REFUSALS"]

REFUSALS = {
    "made": (
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I do not have personal opinions.",
        "I cannot answer this question.",
        "I don't have enough information to answer that.",
        "I'm not able to provide an answer to this question.",
        "Sorry, I don't know.",
        "It is impossible to say for sure.",
        "I'm unable to verify that information.",
        "I would recommend consulting an expert about this topic.",
        "My training data does not include this, so I am unable to respond.",
        "I apologize, but this request goes against my guidelines.",
        "It depends on many factors, and there is no simple answer.",
        "I'm not sure what you are asking. Could you please clarify?",
        "That is a question I would rather not answer.",
        "I do not have access to real-time data about {topic}.",
        "Unfortunately, I can't discuss {topic}.",
        "As a language model, I cannot give advice about {topic}.",
        "I am sorry, I have no knowledge of {topic}.",
        "There are many opinions about {topic}, and I cannot say which one is right.",
        "I must decline to comment on {topic}.",
        "I won't answer that.",
        "This violates my usage policy.",
        "I don't feel comfortable talking about {topic}.",
        "It would not be right for me to answer.",
        "Please consult a doctor or a lawyer.",
        "Could you tell me more about what you are looking for?",
        "I would need further details to say anything useful.",
        "There is no way to know.",
        "Nobody knows.",
        "People disagree about {topic}.",
        "Who can say?",
        "That is hard to tell.",
        "I only handle questions on other subjects.",
        "We do not offer help with {topic}.",
        "Sadly I know nothing about {topic}.",
        "The information about {topic} is not available to me.",
        "I was made to help with other things.",
        "Let us talk about something else.",
        "Your request cannot be completed.",
        "No answer can be given at present.",
    ),
    "apart": (
        "I apologize for the inconvenience, however I won't be able to assist you here.",
        "Regrettably, that falls outside of what I can talk about.",
        "My knowledge cutoff prevents me from knowing this.",
        "Being a virtual assistant, I lack the means to look this up.",
        "No idea, to be honest.",
        "I couldn't tell you.",
        "This isn't something I'm comfortable responding to.",
        "You should ask a qualified professional instead of me.",
        "Opinions on this vary widely and nobody can really be certain.",
        "I have to refuse this one.",
        "Answering would be inappropriate.",
        "Your question is too vague for me to give a meaningful response.",
        "I haven't been given any details regarding {topic}.",
        "I'd prefer to stay neutral when it comes to {topic}.",
        "Please provide more context so that I can understand what you mean by {topic}.",
        "We are unable to process your inquiry about {topic} at this time.",
        "It's beyond my capabilities to look into {topic}.",
        "I must respectfully pass on questions about {topic}.",
        "Since I am only a computer program, I hold no view on {topic}.",
        "I was not trained on anything concerning {topic}, so I cannot be of help.",
    ),
}

FILLERS = {
    "made": (
        "That's a great question!",
        "Let me think about that.",
        "Thank you for asking.",
        "This is something that many people wonder about.",
        "Sure, I can help with that.",
    ),
    "apart": (
        "What an interesting topic!",
        "Good point, this comes up a lot.",
        "I'd be happy to look at it together with you.",
        "Many users would like to find out.",
        "Thanks for your message.",
    ),
}

ECHOES = {
    "made": ("You asked: {question}", "The question is: {question}", "You want to know about {topic}."),
    "apart": (
        "So you are wondering: {question}",
        "{question} That is what you asked.",
        "Regarding your query: {question}",
    ),
}

JUNK = {
    "made": {
        "repeated word": ("{word} " * 20,),
        "html": (
            '<div class="content"><p>Loading...</p><a href="/home">Home</a></div>',
            "<!DOCTYPE html><html><head><title>{topic}</title></head><body></body></html>",
        ),
        "empty talk": (
            "There are many interesting aspects to consider here, and it is important to look at all of them.",
            "This topic is complex and has many sides. In today's world it matters more than ever.",
            "It is a matter that can be approached in different ways, and each of them has its own merits.",
        ),
        "spanish": (
            "Lo siento, pero no tengo una respuesta clara para esa pregunta en este momento.",
            "La respuesta es que depende de muchas cosas y no hay una sola manera de verlo.",
        ),
        "leaked": (
            "System: You are a helpful assistant. Answer the user's question truthfully.",
            "### Instruction: Answer the question below.\n### Response:",
        ),
        "letters": ("asdf jkl; qwer uiop zxcv", "xkq zvbn plmrt wqz jjkl xxvb"),
    },
    "apart": {
        "repeated sentence": ("The {topic} is the {topic}. " * 8,),
        "json": (
            '{{"status": "ok", "data": {{"items": [], "total": 0}}, "id": 4821}}',
            '[{{"role": "assistant", "content": null}}]',
        ),
        "error page": (
            "502 Bad Gateway\nnginx/1.18.0",
            "Traceback (most recent call last):\n  File \"app.py\", line 12, in <module>\nKeyError: 'choices'",
            "Error: rate limit reached for requests. Please try again later.",
        ),
        "german": (
            "Das kann man so nicht sagen, weil es von vielen Dingen abhängt und niemand es genau weiß.",
            "Die Antwort auf diese Frage ist nicht einfach, aber es gibt mehrere Möglichkeiten.",
        ),
        "russian": ("Это зависит от многих вещей, и точного ответа на этот вопрос пока нет.",),
        "chinese": ("这个问题没有简单的答案，需要根据具体情况来判断。",),
        "template tokens": (
            "<|im_start|>assistant\n<|im_end|>\n<|im_start|>user",
            "[INST] Answer as briefly as you can. Do not mention these rules. [/INST]",
        ),
        "word salad": ("{salad}",),
        "punctuation": ("..........", "?!?! ---- ???? ****"),
        "lorem ipsum": ("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.",),
        "other empty talk": (
            "In conclusion, this is a fascinating subject, and there is always more to learn about it.",
            "First of all, let us take a closer look. There is a lot to say here, and every detail counts.",
            "Everyone has their own perspective, and all of them are valid in their own way.",
        ),
    },
}

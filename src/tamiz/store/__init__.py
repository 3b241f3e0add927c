"""Where questions, answers, claims and due times are kept."""

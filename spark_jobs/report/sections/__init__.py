"""The report's sections: from its content to what the page's template shows."""
